# Tribunal in a container: docker build -t tribunal . && docker run --rm -v "$PWD/store:/work/store" tribunal run register
#
# Faults of disks need more rights: --device /dev/fuse --cap-add SYS_ADMIN. `tribunal doctor` says what works.
FROM rust:1-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --features full && strip target/release/tribunal

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends e2fsprogs etcd-server fuse3 iproute2 nftables python3 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/tribunal /usr/local/bin/tribunal
WORKDIR /work
ENTRYPOINT ["tribunal"]
CMD ["--help"]
