#!/bin/sh
# Builds the hub's image and our own environment, with docker's buildx or buildah, and pushes them where PUSH is set:
# `make images REGISTRY=registry.example.org/renku PUSH=1`. All variables are in docs/building.md.
set -eu
cd "$(dirname "$0")/.."
: "${REGISTRY:?says where the images are going to be, such as registry.example.org/renku}"
ENVIRONMENT=helm/environments/jupyter-python
BUILDER=${BUILDER:-$(command -v docker || command -v buildah || echo docker)}
REVISION=$(git rev-parse HEAD 2> /dev/null || true)
CREATED=$(date -u +%Y-%m-%dT%H:%M:%SZ)

build() { # image, folder, Dockerfile, flags
    image=$REGISTRY/$1 folder=$2 file=$3
    shift 3
    set -- --platform "${PLATFORM:-linux/amd64}" --tag "$image" --file "$file" "$@" \
        --build-arg REVISION="$REVISION" --build-arg CREATED="$CREATED"
    set -- "$@" ${BASE:+--build-arg BASE="$BASE"} ${PIP_CONF:+--secret id=pip,src="$PIP_CONF"}
    case $BUILDER in
    *docker*)
        # Only a registry keeps the list of packages beside the image.
        if [ -n "${PUSH:-}" ]; then set -- --sbom=true --push "$@"; else set -- --load "$@"; fi
        $BUILDER buildx build ${BUILD_FLAGS:-} "$@" "$folder"
        ;;
    *)
        $BUILDER build ${BUILD_FLAGS:-} "$@" "$folder"
        if [ -n "${PUSH:-}" ]; then $BUILDER push ${PUSH_FLAGS:-} "$image"; fi
        ;;
    esac
    echo "$image"
}

stated() { # what a file says after a prefix
    sed -n "s/^$1\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" "$2" | head -n 1
}

hub=${TAG:-$(stated 'version = ' pyproject.toml)} dated=${TAG:-$(stated 'ARG TAG=' $ENVIRONMENT/Dockerfile)}
build "renku-hub:$hub" . helm/image/Dockerfile --build-arg VERSION="$hub"
build "jupyter-python:$dated" $ENVIRONMENT $ENVIRONMENT/Dockerfile --build-arg TAG="$dated" \
    --build-context extension=extension
