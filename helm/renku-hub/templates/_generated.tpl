{{/*
Secrets that Zero to JupyterHub's chart draws at random while the Secret `hub` has none. Its own templates of these names
draw again at each include, so that the checksums in the pods' annotations belong to other values than the Secret has, and
the first upgrade after an install replaces hub and proxy for nothing. A template of this chart takes the place of one of
the same name in a chart that it depends on: each is drawn once for a rendering, and kept in .Release meanwhile, which both
charts share and no object shows.
*/}}
{{- define "renku.generated" -}}
{{- $present := (lookup "v1" "Secret" .root.Release.Namespace "hub").data | default dict -}}
{{- if hasKey $present .key -}}
  {{- index $present .key | b64dec -}}
{{- else -}}
  {{- if not (hasKey .root.Release "renkuGenerated") }}{{ $_ := set .root.Release "renkuGenerated" dict }}{{ end -}}
  {{- if not (hasKey .root.Release.renkuGenerated .key) -}}
    {{- $_ := set .root.Release.renkuGenerated .key (randAlphaNum 64 | sha256sum) -}}
  {{- end -}}
  {{- get .root.Release.renkuGenerated .key -}}
{{- end -}}
{{- end }}

{{- define "jupyterhub.hub.config.ConfigurableHTTPProxy.auth_token" -}}
{{- $given := .Values.hub.config | dig "ConfigurableHTTPProxy" "auth_token" "" | default .Values.proxy.secretToken -}}
{{- $given | default (include "renku.generated" (dict "root" . "key" "hub.config.ConfigurableHTTPProxy.auth_token")) -}}
{{- end }}

{{- define "jupyterhub.hub.config.JupyterHub.cookie_secret" -}}
{{- $given := .Values.hub.config | dig "JupyterHub" "cookie_secret" "" | default .Values.hub.cookieSecret -}}
{{- $given | default (include "renku.generated" (dict "root" . "key" "hub.config.JupyterHub.cookie_secret")) -}}
{{- end }}

{{- define "jupyterhub.hub.config.CryptKeeper.keys" -}}
{{- $given := .Values.hub.config | dig "CryptKeeper" "keys" list | join ";" -}}
{{- $given | default (include "renku.generated" (dict "root" . "key" "hub.config.CryptKeeper.keys")) -}}
{{- end }}

{{- define "jupyterhub.hub.services.get_api_token" -}}
{{- $root := index . 0 -}}{{- $service := index . 1 -}}
{{- $given := or ($root.Values.hub.services | dig $service "api_token" "") ($root.Values.hub.services | dig $service "apiToken" "") -}}
{{- $given | default (include "renku.generated" (dict "root" $root "key" (printf "hub.services.%s.apiToken" $service))) -}}
{{- end }}
