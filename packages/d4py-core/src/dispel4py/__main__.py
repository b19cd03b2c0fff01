"""``python -m dispel4py``: the same as the ``dispel4py`` command."""

from dispel4py.new.processor import main

if __name__ == "__main__":
    main()
