# Langfuse's worker: what brings queued events into ClickHouse.
# All of the vendor's file system (its Node and its libraries are Alpine's) and none of its settings.
ARG VENDOR
FROM ${VENDOR} AS vendor

FROM scratch
COPY --from=vendor / /
COPY launch.mjs probe.mjs /opt/praxis/
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NODE_ENV=production DOCKER_BUILD=0 \
    NEXT_TELEMETRY_DISABLED=1 NEXT_MANUAL_SIG_HANDLE=true HOME=/tmp XDG_CACHE_HOME=/tmp
WORKDIR /app
ENTRYPOINT ["node", "/opt/praxis/launch.mjs"]
CMD ["./worker/entrypoint.sh", "node", "worker/dist/index.js"]
