"""The diagrams of lesson 10b: the places where a GPU keeps numbers, waves of programs, the
pipeline, and the threads that hold a tile.

python lessons/drawings/d10b_gpu.py
"""

from pen import DARK, MATCH, PICTURE, PLAIN, TEXT, Sheet

FAST, IDLE = "#e4d3ee", "white"


def gpu():
    """An H100: main memory, L2, and the SMs with shared memory, registers and units."""
    sheet = Sheet(17, 8.2)
    sheet.box(0.5, 0.8, 3.0, 6.2, "main memory\n\n80 GiB\n\n3.0 TB/s", PLAIN)
    sheet.box(4.7, 0.8, 2.6, 6.2, "L2 cache\n\n50 MB,\nfor all SMs", TEXT)
    sheet.arrow((3.5, 3.4), (4.7, 3.4))
    sheet.arrow((4.7, 4.2), (3.5, 4.2))
    sheet.box(8.5, 0.8, 8.0, 5.0, "", "white")
    sheet.label(12.5, 1.2, "one SM", 11)
    sheet.box(8.8, 1.7, 3.0, 3.8, "shared\nmemory\n\n228 KiB", PICTURE)
    sheet.box(12.6, 1.7, 3.6, 1.4, "65,536 registers", MATCH)
    sheet.box(12.6, 3.7, 1.7, 1.8, "tensor\ncores", FAST, 9)
    sheet.box(14.5, 3.7, 1.7, 1.8, "2ˣ, sums\nand so on", FAST, 9)
    sheet.arrow((7.3, 3.0), (8.8, 3.0))
    sheet.arrow((11.8, 2.4), (12.6, 2.4))
    sheet.arrow((11.8, 4.6), (12.6, 4.6))
    sheet.arrow((13.1, 3.7), (13.1, 3.1))
    sheet.arrow((13.8, 3.1), (13.8, 3.7))
    sheet.arrow((15.3, 3.1), (15.3, 3.7))
    for k in range(3):
        sheet.box(8.5 + 2.0 * k, 6.1, 1.8, 0.9, "SM", "white", 9)
        sheet.arrow((7.3, 6.4), (8.5, 6.4)) if k == 0 else None
    sheet.label(15.5, 6.55, "... 132 of them", 9)
    sheet.label(2.0, 7.6, "large and far", 9)
    sheet.label(12.5, 7.6, "small and near", 9)
    sheet.arrow((3.6, 7.6), (11.0, 7.6))
    sheet.save("10b_gpu")


def waves():
    """Four programs on four places take one wave, and five take two."""
    sheet = Sheet(16.5, 6.6)
    for x0, count in ((2.4, 4), (9.6, 5)):
        sheet.label(x0 + 2.6, 0.5, f"{count} programs on 4 places", 11)
        for place in range(4):
            y = 1.2 + place * 0.95
            if x0 < 5:
                sheet.label(x0 - 0.2, y + 0.4, f"place {place}", 9, "right")
            for wave in range(2):
                pid = 4 * wave + place
                there = pid < count
                if wave == 0 or count > 4:
                    fill = PICTURE if there else IDLE
                    text = f"program {pid}" if there else "idle"
                    sheet.box(x0 + 2.7 * wave, y, 2.5, 0.8, text, fill, 9)
        sheet.arrow((x0, 5.4), (x0 + (2.6 if count == 4 else 5.3), 5.4))
        sheet.label(x0 + (1.3 if count == 4 else 2.6), 5.85, "time", 9)
    sheet.save("10b_waves")


def pipeline():
    """A loop of four steps with one buffer and with three; a load takes as long as two products."""
    sheet = Sheet(17, 7.2)
    x0, side = 3.4, 0.98
    for y0, title, buffers in ((1.0, "one buffer", 1), (3.1, "three buffers", 3)):
        sheet.label(x0, y0 - 0.4, title, 10, "left")
        for buffer in range(buffers):
            sheet.label(x0 - 0.2, y0 + 0.4 + buffer * 0.9, f"buffer {buffer}", 9, "right")
        for k in range(4):
            y = y0 + k % buffers * 0.9
            # three buffers: loads 0 and 1 start at once, load k + 2 starts with product k
            load = 3 * k if buffers == 1 else (0, 0, 2, 3)[k]
            product = 3 * k + 2 if buffers == 1 else k + 2
            sheet.box(x0 + side * load, y, 2 * side, 0.8, f"load {k}", TEXT, 9)
            sheet.box(x0 + side * product, y, side, 0.8, f"× {k}", MATCH, 9)
        end = x0 + side * (12 if buffers == 1 else 6)
        sheet.axes.plot([end] * 2, [y0 - 0.2, y0 + 0.9 * buffers], color=DARK, lw=1, ls=":")
        sheet.label(end + 0.2, y0 - 0.1, "done", 9, "left")
    sheet.arrow((x0, 6.5), (x0 + 12 * side, 6.5))
    sheet.label(x0 + 6 * side, 6.85, "time", 9)
    sheet.save("10b_pipeline")


def threads():
    """Which thread of warp 0 holds which number of a tile, for its first eight rows and columns."""
    sheet, side, x0, y0 = Sheet(15, 9.2), 0.85, 3.6, 1.3
    for i in range(8):
        sheet.label(x0 - 0.3, y0 + (i + 0.5) * side, f"row {i}", 9, "right")
        for j in range(8):
            fill = MATCH if i == j == 0 else PICTURE if i == 0 else TEXT if j == 0 else "white"
            text = str(4 * i + j // 2)
            sheet.box(x0 + j * side, y0 + i * side, side, side, text, fill, 9)
    sheet.label(x0 + 4 * side, 0.9, "columns 0 to 7", 9)
    sheet.label(
        x0 + 8 * side + 0.3,
        y0 + side / 2,
        "the same four threads\nhold the rest of row 0",
        9,
        "left",
    )
    below = "column 0 goes on in rows 8 to 15, in the same eight threads;\nthe next 16 rows belong to another warp"
    sheet.label(x0 + 4 * side, y0 + 8 * side + 0.65, below, 9)
    sheet.save("10b_threads")


def main():
    for figure in (gpu, waves, pipeline, threads):
        figure()


if __name__ == "__main__":
    main()
