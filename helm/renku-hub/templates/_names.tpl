{{/* Where sessions run. */}}
{{- define "renku.namespace" -}}
{{ .Values.renku.sessions.namespace | default .Release.Namespace }}
{{- end }}

{{/* What begins the names of what stands in the namespace of the sessions, which hubs may share. */}}
{{- define "renku.prepuller" -}}
{{ .Release.Name }}-prepuller
{{- end }}

{{/* What this hub's pods and claims are known by: releases of any namespace may share that of their sessions. */}}
{{- define "renku.hubLabel" -}}
{{- $own := printf "%s.%s" .Release.Namespace .Release.Name -}}
{{ .Values.renku.sessions.hubLabel | default ($own | trunc 63 | trimAll "-.") }}
{{- end }}

{{/* The image that clones repositories: the hub's own, unless another is said. It may be pinned: `tag: 1.0@sha256:…`. */}}
{{- define "renku.cloneImage" -}}
{{- with .Values.jupyterhub.hub.image -}}
{{ $.Values.renku.images.clone | default (printf "%s:%s" .name .tag) }}
{{- end -}}
{{- end }}

{{- define "renku.labels" -}}
app.kubernetes.io/name: renku-hub
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The service account of the hub's pod, as Zero to JupyterHub's chart calls it. */}}
{{- define "renku.serviceAccount" -}}
{{ .Values.jupyterhub.hub.serviceAccount.name | default "hub" }}
{{- end }}

{{/* How people log in: GitLab where projects live there, unless the values name another authenticator. */}}
{{- define "renku.authenticator" -}}
{{- $said := .Values.jupyterhub.hub.config.JupyterHub.authenticator_class -}}
{{- if and (eq .Values.renku.projects "gitlab") (has $said (list "shared-password" "dummy")) -}}
gitlab
{{- else -}}
{{ $said }}
{{- end -}}
{{- end }}

{{/* The hub's own path at its address, with both slashes. */}}
{{- define "renku.basePath" -}}
{{- $path := trimAll "/" .Values.jupyterhub.hub.baseUrl -}}
{{ ternary "/" (printf "/%s/" $path) (eq $path "") }}
{{- end }}

{{/* What the pre-puller pulls: the environments of the values or, as the hub has it, the one that this repository builds. */}}
{{- define "renku.readyMade" -}}
{{- $ours := list -}}
{{- with .Values.renku.images.registry -}}
  {{- $ours = list (dict "key" "jupyter-python" "image" (printf "%s/jupyter-python:2026-11-28" .)) -}}
{{- end -}}
{{ .Values.renku.environments | default $ours | toJson }}
{{- end }}

{{/* Whether people may bring images of their own. */}}
{{- define "renku.openToImages" -}}
{{- $allowed := dig "policy" "allowed" (list "*") .Values.renku.images -}}
{{- if $allowed }}true{{ end -}}
{{- end }}
