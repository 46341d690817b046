# The muster image: one static binary that runs as a non-root user, without a shell or other programs.
#
#   docker build -t muster .        docs/how-to/container.md explains how to run it
#
# `make container-check` executes these steps without a container engine.
#
# - Static glibc: the image needs no libraries (20 MB smaller, nothing to patch) and keeps the allocator that memory use
#   was measured with. Name resolution works: glibc reads files and asks DNS without plug-ins.
# - The build needs a C compiler, and the network only for crates. `.sqlx` replaces the database.
# - The toolchain version matches rust-toolchain.toml. That file is not copied: rustup would install components that the
#   build does not use.

FROM rust:1.95.0-slim-trixie AS build
WORKDIR /src
ENV SQLX_OFFLINE=true CARGO_INCREMENTAL=0

# Dependencies only: the layer is cached until a manifest or the lock file changes.
COPY Cargo.toml Cargo.lock ./
COPY crates/muster-client/Cargo.toml crates/muster-client/
COPY scripts/build-static.sh scripts/
RUN mkdir -p src benches crates/muster-client/src \
    && echo 'fn main() {}' > src/main.rs \
    && touch benches/muster.rs src/lib.rs crates/muster-client/src/lib.rs \
    && scripts/build-static.sh

# muster itself. `touch`: the real files may be older than the placeholders, and cargo compares modification times.
COPY build.rs ./
COPY .sqlx .sqlx
COPY assets assets
COPY config config
COPY migrations migrations
COPY crates crates
COPY src src
COPY templates templates
RUN touch src/main.rs src/lib.rs crates/muster-client/src/lib.rs \
    && scripts/build-static.sh out/muster

FROM gcr.io/distroless/static-debian13:nonroot
COPY --from=build /src/out/muster /usr/local/bin/muster
# Numeric, so that Kubernetes can verify `runAsNonRoot`.
USER 65532:65532
# All addresses of the container; the engine decides which ports are published.
ENV MUSTER_SERVER__LISTEN=0.0.0.0:8080 MUSTER_LOG__FORMAT=json
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/muster", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/muster"]
CMD ["serve"]
