# A CPU image that speaks: built from the wheel, run as a user without rights.
#   make wheel && docker build -t amtts .
#   docker run --rm -v "$PWD":/data amtts synthesize --checkpoint /data/run "ሰላም ለዓለም።" --out /data/hello.wav
FROM python:3.11-slim

# The index that your CPU builds of torch come from; empty takes the default index, whose build brings CUDA.
ARG TORCH_INDEX=

WORKDIR /opt/amtts
COPY constraints.txt dist/amtts-*.whl ./
RUN python -m pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$(grep '^torch==' constraints.txt)" \
 && python -m pip install --no-cache-dir -c constraints.txt ./amtts-*.whl \
 && useradd --create-home amtts
USER amtts
WORKDIR /data
ENV OMP_WAIT_POLICY=PASSIVE
HEALTHCHECK --interval=60s --timeout=20s CMD ["python", "-c", "import amtts; amtts.normalize('27')"]
ENTRYPOINT ["amtts"]
CMD ["--help"]
