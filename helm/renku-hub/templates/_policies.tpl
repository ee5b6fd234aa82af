{{/* Rules of NetworkPolicies that more than one of them has. */}}
{{- define "renku.policy.blocks" -}}
{{- range . }}
- ipBlock: {cidr: {{ . }}}
{{- end }}
{{- end }}

{{- define "renku.policy.names" -}}
- to:
    - namespaceSelector: {matchLabels: {{ toJson .namespaceLabels }}}
      podSelector: {matchLabels: {{ toJson .podLabels }}}
    {{- include "renku.policy.blocks" .addresses | nindent 4 }}
  ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end }}

{{/* The database in the hub's namespace, by its labels, or by addresses. */}}
{{- define "renku.policy.database" -}}
{{- if or .podLabels .addresses -}}
- to:
    {{- with .podLabels }}
    - podSelector: {matchLabels: {{ toJson . }}}
    {{- end }}
    {{- include "renku.policy.blocks" .addresses | nindent 4 }}
  ports:
    - {port: {{ .port }}}
{{- end -}}
{{- end }}

{{- define "renku.policy.private" -}}
{{- if .hosts -}}
- to: {{- include "renku.policy.blocks" .hosts | nindent 4 }}
  ports: {{- include "renku.policy.ports" .named | nindent 4 }}
{{- end -}}
{{- end }}

{{/* The ports of a list of `host:port`, addresses and images, and 443. A name cannot stand in a policy, its port can. */}}
{{- define "renku.policy.ports" -}}
{{- $ports := list 443 -}}
{{- range compact . -}}
  {{- $authority := . | trimPrefix "https://" | trimPrefix "http://" | splitList "/" | first -}}
  {{- $said := $authority | regexFind "^[^:]+:[0-9]+$|\\]:[0-9]+$" | regexFind "[0-9]+$" -}}
  {{- if $said -}}
    {{- $ports = append $ports (int $said) -}}
  {{- else if hasPrefix "http://" . -}}
    {{- $ports = append $ports 80 -}}
  {{- end -}}
{{- end -}}
{{- range $ports | uniq | sortAlpha }}
- {port: {{ . }}}
{{- end -}}
{{- end }}

{{/*
What the hub asks and the values name: registries and their proxy, GitLab, git servers, storages. The first word of an
image is its registry only before a slash.
*/}}
{{- define "renku.policy.hubAsks" -}}
{{- with .Values.renku -}}
{{- $named := concat (dig "hosts" list .images.policy) (list .images.registryProxy .gitlab.url) .repositoryHosts .storages.hosts -}}
{{- range dig "plain_http" list .images.policy -}}{{- $named = append $named (printf "http://%s" .) -}}{{- end -}}
{{- $images := concat (dig "allowed" list .images.policy) (list (printf "%s/" .images.registry)) -}}
{{- range .environments -}}{{- $images = append $images .image -}}{{- end -}}
{{- range $images -}}{{- if contains "/" . }}{{ $named = append $named . }}{{ end -}}{{- end -}}
{{ $named | toJson }}
{{- end -}}
{{- end }}

{{/* Where sessions clone from. */}}
{{- define "renku.policy.sessionsAsk" -}}
{{- with .Values.renku -}}
{{ prepend .repositoryHosts .gitlab.url | toJson }}
{{- end -}}
{{- end }}

{{/* Public addresses, as renku_spawner/integrations/net/guarded_http.py has them: 6to4 and Teredo carry private IPv4. */}}
{{- define "renku.policy.public" -}}
- ipBlock:
    cidr: 0.0.0.0/0
    except:
      - 0.0.0.0/8
      - 10.0.0.0/8
      - 100.64.0.0/10
      - 127.0.0.0/8
      - 168.63.129.16/32
      - 169.254.0.0/16
      - 172.16.0.0/12
      - 192.0.0.0/24
      - 192.0.2.0/24
      - 192.88.99.0/24
      - 192.168.0.0/16
      - 198.18.0.0/15
      - 198.51.100.0/24
      - 203.0.113.0/24
      - 224.0.0.0/3
- ipBlock:
    cidr: 2000::/3
    except:
      - 2001::/23
      - 2001:db8::/32
      - 2002::/16
      - 3fff::/20
{{- end }}
