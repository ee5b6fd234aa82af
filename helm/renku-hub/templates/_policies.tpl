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
{{- if . -}}
- to: {{- include "renku.policy.blocks" . | nindent 4 }}
  ports:
    - {port: 443}
{{- end -}}
{{- end }}

{{/* Public addresses; 6to4 and Teredo carry private IPv4 addresses. */}}
{{- define "renku.policy.public" -}}
- ipBlock:
    cidr: 0.0.0.0/0
    except:
      - 0.0.0.0/8
      - 10.0.0.0/8
      - 100.64.0.0/10
      - 127.0.0.0/8
      - 169.254.0.0/16
      - 172.16.0.0/12
      - 192.0.0.0/24
      - 192.168.0.0/16
      - 198.18.0.0/15
      - 224.0.0.0/3
- ipBlock:
    cidr: 2000::/3
    except:
      - 2001::/32
      - 2002::/16
{{- end }}
