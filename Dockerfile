# vadbench with everything that its methods need; docs/installation.md shows how to build and run it.
FROM python:3.12-slim

# A package index for torch and torchvision alone, such as PyTorch's own of builds for CPUs; both come from it, as a
# torchvision of another build does not load.
ARG TORCH_INDEX=""

WORKDIR /src
COPY constraints.txt ./
RUN if [ -n "$TORCH_INDEX" ]; then \
      pip install --no-cache-dir --no-deps --constraint constraints.txt --index-url "$TORCH_INDEX" torch torchvision; \
    fi
COPY pyproject.toml README.md LICENSE ./
COPY vadbench vadbench
COPY methods methods
COPY datasets datasets
COPY benchmarks/vadbench_benchmarks benchmarks/vadbench_benchmarks
COPY results/vadbench_results results/vadbench_results
RUN pip install --no-cache-dir --constraint constraints.txt .

# Writable for any user, so that docker run --user works.
ENV VADBENCH_CACHE=/cache HF_HOME=/cache/huggingface MPLCONFIGDIR=/cache/matplotlib
RUN mkdir -p /cache /work && chmod 1777 /cache /work
USER 1000:1000
WORKDIR /work
ENTRYPOINT ["vadbench"]
CMD ["--help"]
