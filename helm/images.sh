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

# What was pushed, as values of the chart that pin it; a builder that tells no digest leaves them out.
VALUES=build/images.yaml
mkdir -p build && rm -f "$VALUES"

pin() { # name:tag, digest
    case $1 in
    renku-hub:*)
        printf 'jupyterhub:\n  hub:\n    image: {name: %s, tag: "%s@%s"}\n' "$REGISTRY/renku-hub" "${1#*:}" "$2"
        ;;
    *)
        printf 'renku:\n  environments:\n    - {key: %s, name: Jupyter Python, image: "%s@%s", uid: 1000, gid: 100}\n' \
            "${1%:*}" "$REGISTRY/$1" "$2"
        ;;
    esac >> "$VALUES"
}

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
        $BUILDER buildx build ${BUILD_FLAGS:-} "$@" --metadata-file build/metadata.json "$folder"
        digest=$(sed -n 's/.*"containerimage.digest": *"\(sha256:[0-9a-f]*\)".*/\1/p' build/metadata.json 2> /dev/null || true)
        ;;
    *)
        $BUILDER build ${BUILD_FLAGS:-} "$@" "$folder"
        digest=
        if [ -n "${PUSH:-}" ]; then
            $BUILDER push --digestfile build/digest ${PUSH_FLAGS:-} "$image"
            digest=$(cat build/digest 2> /dev/null || true)
        fi
        ;;
    esac
    rm -f build/metadata.json build/digest
    if [ -n "${PUSH:-}" ] && [ -n "$digest" ]; then pin "${image##*/}" "$digest"; image=$image@$digest; fi
    echo "$image"
}

stated() { # what a file says after a prefix
    sed -n "s/^$1\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" "$2" | head -n 1
}

hub=${TAG:-$(stated 'version = ' pyproject.toml)} dated=${TAG:-$(stated 'ARG TAG=' $ENVIRONMENT/Dockerfile)}
build "renku-hub:$hub" . helm/image/Dockerfile --build-arg VERSION="$hub"
build "jupyter-python:$dated" $ENVIRONMENT $ENVIRONMENT/Dockerfile --build-arg TAG="$dated" \
    --build-context extension=extension
