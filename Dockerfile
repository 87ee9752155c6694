# All four programs in one image; docker-compose.yml gives each container its role.

FROM debian:bookworm-slim AS build
WORKDIR /src
# The packages first: they change more seldom than the sources.
COPY scripts/prepare.sh scripts/
RUN bash -c '. scripts/prepare.sh && install_missing "${build_packages[@]}"'
COPY . .
RUN cmake -S . -B /build -G Ninja -DCMAKE_INSTALL_PREFIX=/usr -DMANDRILL_TESTS=OFF \
    && cmake --build /build \
    && DESTDIR=/stage cmake --install /build --strip

FROM debian:bookworm-slim
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        tini libzmq5 libczmq4 libmsgpackc2 libsqlite3-0 libjansson4 libpq5 libcurl4 ca-certificates \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb \
    && groupadd --gid 10001 mandrill \
    && useradd --uid 10001 --gid mandrill --no-create-home --home-dir /var/lib/mandrill --shell /usr/sbin/nologin mandrill \
    # A named volume that is mounted here takes the owner over.
    && install -d -o mandrill -g mandrill -m 0750 /var/lib/mandrill
COPY --from=build /stage/usr/ /usr/
# A library that is missing shows here, not at the first start.
RUN for program in mandrill mandrill-publisher mandrill-consumer mandrill-worker; do "$program" --version || exit 1; done

LABEL org.opencontainers.image.title="Mandrill" \
    org.opencontainers.image.description="Restart requests, kept on disk until each is saved and carried out" \
    org.opencontainers.image.base.name="docker.io/library/debian:bookworm-slim"

# By number, for whoever is to know without looking into the image that it is not root (Kubernetes: runAsNonRoot).
USER 10001:10001
WORKDIR /var/lib/mandrill
# Drain. A program that still runs at the end of the grace period is killed, which loses nothing either.
STOPSIGNAL SIGTERM
# It reaps what helpers leave behind, and hands signals on.
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["mandrill", "help"]
