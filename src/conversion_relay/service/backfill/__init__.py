"""Events of files: read, counted before anything is sent, and sent so that none counts twice."""
