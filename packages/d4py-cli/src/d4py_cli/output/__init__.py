"""The files of ``--output``: a module per format, what they share, the choice by ending."""
