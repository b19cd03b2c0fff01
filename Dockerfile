# d4py with all mappings, Open MPI and the libraries that write results and reports:
#
#   docker build -t d4py .
#   docker run --rm -v "$PWD:/work" d4py dispel4py multi my_workflow.py -n 4
#
# Add what your workflows import: FROM d4py, then RUN pip install …

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
WORKDIR /src
COPY . /src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels ./packages/* ./examples

FROM python:${PYTHON}-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --find-links /wheels 'd4py-cli[mpi,plot,parquet,hdf5,report]'
# Any user may run it: `docker run --user …`.  Open MPI and others need a home that can be written.
ENV HOME=/tmp
WORKDIR /work
USER 1000:1000
CMD ["dispel4py", "--help"]
