# docker build --build-arg VERSION=v1.2.3 --build-arg COMMIT=$(git rev-parse HEAD) -t millrace:v1.2.3 .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION COMMIT
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -tags urfave_cli_no_template \
    -ldflags "-s -w -X millrace/internal/ops.version=$VERSION -X millrace/internal/ops.commit=$COMMIT" \
    -o /millrace .

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /millrace /millrace
# The collector's user; the agent's manifest says 0, who owns the log files.
USER 65532:65532
ENTRYPOINT ["/millrace"]
