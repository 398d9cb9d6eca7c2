"""The programs below are read as text, or run by the tests with inputs of their own: pytest imports none of them."""

collect_ignore_glob = ["*/*.py"]
