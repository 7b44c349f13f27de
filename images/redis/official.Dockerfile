# All of the vendor's file system and none of its settings: it declares a volume, which every container would get.
ARG BASE
ARG VENDOR
FROM ${VENDOR} AS vendor
FROM ${BASE} AS base

FROM scratch
COPY --from=vendor / /
COPY --from=base /usr/local/bin/await-secrets /usr/local/bin/probe /usr/local/bin/
COPY redis.conf /opt/praxis/redis.conf
# For Langfuse's queue, which must outlive a restart; counters need not.
RUN install -d -o 61016 -g 61016 -m 0700 /var/lib/queue
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
ENTRYPOINT ["await-secrets", "redis-server"]
CMD ["/opt/praxis/redis.conf"]
