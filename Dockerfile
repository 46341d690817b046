# The image of muster: one static program, nobody's root, nothing else that could be run.
#
#   docker build -t muster .        docs/how-to/container.md says how to run it
#
# `make container-check` runs these steps without a container engine.
#
# - Static, on glibc: the image then needs no libraries (20 MB less, and none that has to be patched), and glibc's
#   allocator is the one that muster's memory was measured with. glibc looks up names by itself (files, DNS).
# - Building takes a C compiler and nothing else, and the network for crates only. `.sqlx` stands in for a database.
# - The toolchain is that of rust-toolchain.toml, which is not copied: rustup would add parts that are of no use here.

FROM rust:1.95.0-slim-trixie AS build
WORKDIR /src
ENV SQLX_OFFLINE=true CARGO_INCREMENTAL=0

# The dependencies alone: this layer is kept until a manifest or the lock file changes.
COPY Cargo.toml Cargo.lock ./
COPY crates/muster-client/Cargo.toml crates/muster-client/
COPY scripts/build-static.sh scripts/
RUN mkdir -p src benches crates/muster-client/src \
    && echo 'fn main() {}' > src/main.rs \
    && touch benches/muster.rs src/lib.rs crates/muster-client/src/lib.rs \
    && scripts/build-static.sh

# muster itself. The times of these files may lie before those of the empty ones, and cargo goes by times.
COPY build.rs ./
COPY .sqlx .sqlx
COPY config config
COPY migrations migrations
COPY crates crates
COPY src src
RUN touch src/main.rs src/lib.rs crates/muster-client/src/lib.rs \
    && scripts/build-static.sh out/muster

FROM gcr.io/distroless/static-debian13:nonroot
COPY --from=build /src/out/muster /usr/local/bin/muster
# By number, so that Kubernetes can tell that it is not root.
USER 65532:65532
# All addresses of the container; what is reachable from outside is said when it is run.
ENV MUSTER_SERVER__LISTEN=0.0.0.0:8080 MUSTER_LOG__FORMAT=json
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/muster", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/muster"]
CMD ["serve"]
