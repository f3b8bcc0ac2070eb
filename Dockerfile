# syntax=docker/dockerfile:1

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
# First what seldom changes, so that the modules are fetched once.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/freshrelay ./cmd/freshrelay \
 && mkdir -m 0700 /out/data

# Nothing but the program and the certificate authorities it needs to call Freshworks.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build --chmod=0555 /out/freshrelay /freshrelay
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
VOLUME /data
ENV FRESHRELAY_DATA_DIR=/data \
    FRESHRELAY_LISTEN=:8080 \
    FRESHRELAY_ADMIN_LISTEN=:8081
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["/freshrelay", "status"]
ENTRYPOINT ["/freshrelay"]
CMD ["serve"]
