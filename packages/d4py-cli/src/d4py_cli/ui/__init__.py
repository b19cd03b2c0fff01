"""The live page of a run: its report, in a browser, while the run goes on."""
