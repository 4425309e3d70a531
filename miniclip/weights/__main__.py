"""Export weights for other programs: python -m miniclip.weights export FILE OUT --format ..."""

import sys

from miniclip.weights.export import main

if __name__ == "__main__":
    sys.exit(main())
