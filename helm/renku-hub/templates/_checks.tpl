{{/* What contradicts itself is refused with a sentence, before anything is changed. */}}
{{- define "renku.checks" -}}
{{- $renku := .Values.renku -}}
{{- with .Values.jupyterhub -}}
{{- $required := dict
  "fullnameOverride has to stay empty: the hub is looked for as `hub`" (ne (toString .fullnameOverride) "")
  "cull.removeNamedServers has to stay false: the culler would delete what people have paused" (and .cull.enabled .cull.removeNamedServers)
  "singleuser.storage.type has to stay none: a session has a volume of its own" (ne .singleuser.storage.type "none")
  "singleuser.cloudMetadata.blockWithIptables has to stay false: its container is privileged, which Pod Security refuses" .singleuser.cloudMetadata.blockWithIptables
  "hub.db.type has to be sqlite-pvc or a database of its own: in an in-memory database each connection would see other tables, and the hub refuses it" (eq .hub.db.type "sqlite-memory")
  "hub.db.password stands in the open there: put it into the Secret renku-hub-credentials, as database-password" (not (empty .hub.db.password))
  "rbac.create has to be true with proxy.https.type letsencrypt, whose own pod needs it" (and .proxy.https.enabled (eq .proxy.https.type "letsencrypt") (not .rbac.create))
  "hub.pdb.enabled and renku.podDisruptionBudget.enabled are both true: with two of them nothing can ever be moved" (and .hub.pdb.enabled $renku.podDisruptionBudget.enabled)
  "hub.networkPolicy.enabled and renku.networkPolicies.enabled are both true: policies add up, and theirs allows more" (and .hub.networkPolicy.enabled $renku.networkPolicies.enabled)
  "hub.extraVolumes has lost renku-config or renku-secret: a list replaces the other, so write them down, too" (not (include "renku.mounted" .hub.extraVolumes))
  "hub.extraVolumeMounts has lost renku-config or renku-secret: a list replaces the other, so write them down, too" (not (include "renku.mounted" .hub.extraVolumeMounts))
-}}
{{- range $sentence, $wrong := $required -}}
  {{- if $wrong }}{{ fail (printf "\n\njupyterhub.%s." $sentence) }}{{ end -}}
{{- end -}}
{{- $database := not (hasPrefix "sqlite" .hub.db.type) -}}
{{- $reachable := or $renku.networkPolicies.database.podLabels $renku.networkPolicies.database.addresses -}}
{{- if and $database $renku.networkPolicies.enabled (not $reachable) -}}
  {{- fail "\n\nrenku.networkPolicies.database says neither podLabels nor addresses: the hub could not reach its database." -}}
{{- end -}}
{{- end -}}
{{- if and $renku.userSubdomains (eq $renku.address "") -}}
  {{- fail "\n\nrenku.userSubdomains needs renku.address: everybody gets a name below it." -}}
{{- end -}}
{{- if eq $renku.projects "gitlab" -}}
  {{- include "renku.checks.gitlab" . -}}
{{- end -}}
{{- end }}

{{- define "renku.checks.gitlab" -}}
{{- if eq (include "renku.authenticator" .) "gitlab" -}}
{{- with .Values.renku -}}
{{- range $value, $said := dict "address" .address "gitlab.url" .gitlab.url "gitlab.clientId" .gitlab.clientId -}}
  {{- if eq $said "" }}{{ fail (printf "\n\nrenku.%s is needed with renku.projects gitlab." $value) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Whether both of our volumes are among these. */}}
{{- define "renku.mounted" -}}
{{- $names := list -}}
{{- range . }}{{ $names = append $names .name }}{{ end -}}
{{- if and (has "renku-config" $names) (has "renku-secret" $names) }}true{{ end -}}
{{- end }}
