{{/* What is said, without what is empty: then the code's own default holds. */}}
{{- define "renku.said" -}}
{{- $said := dict -}}
{{- range $trait, $value := . -}}
  {{- if not (or (kindIs "invalid" $value) (and (kindIs "string" $value) (eq $value ""))) -}}
    {{- $_ := set $said $trait $value -}}
  {{- end -}}
{{- end -}}
{{ $said | toJson }}
{{- end }}

{{- define "renku.settings.renku" -}}
{{- with .Values.renku -}}
{{- $said := dict
  "projects" .projects
  "environments" (ternary .environments nil (gt (len .environments) 0))
  "image_registry" .images.registry
  "resource_classes" .resourceClasses
  "session_limits" (dict)
  "one_active_per_environment" .oneActivePerEnvironment
  "repository_hosts" .repositoryHosts
  "launches_kept_days" .launchesKeptDays
  "archived_resume_days" .archivedResumeDays
  "downloads" .downloads
  "download_min_rate" .downloadMinRate
  "download_rate_window" .downloadRateWindow
  "restart_on_change" true
  "start_timeout" .sessions.startTimeout
  "start_timeout_max" .sessions.startTimeoutMax
  "clone_timeout" .sessions.cloneTimeout
  "stop_grace" .sessions.stopGrace
  "api_rate" .sessions.apiRate
  "queue_limit" .sessions.queueLimit
  "allow_plain_servers" .sessions.allowPlainServers
  "idle_pause" .idle.pause
  "idle_warning" .idle.warning
  "idle_processor" .idle.processor
  "keep_awake_max" .idle.keepAwakeMax
  "run_time_max" .idle.runTimeMax
  "rounds_interval" .idle.roundsInterval
  "image_policy" .images.policy
  "platforms" .images.platforms
  "registries_asked" .images.registriesAsked
  "registry_proxy" .images.registryProxy
  "image_checks_per_minute" .images.checksPerMinute
  "image_big" .images.big
  "expire_paused_days" .expiry.pausedDays
  "trash_days" .expiry.trashDays
  "price" .expiry.price
  "mail_server" .expiry.mail.server
  "mail_security" .expiry.mail.security
  "mail_sender" .expiry.mail.sender
  "mail_username" .expiry.mail.username
  "mail_address" .expiry.mail.address
  "notice_url" .expiry.noticeUrl
  "volumes" .storages.volumes
  "rclone_storage_class" .storages.rcloneStorageClass
  "storage_kinds" .storages.kinds
  "storage_hosts" .storages.hosts
  "storage_check" .storages.check
-}}
{{- range $limit, $number := dict "running" .limits.running "kept" .limits.kept "projects" .limits.projects "per_project" .limits.perProject "writes_per_minute" .limits.writesPerMinute -}}
  {{- if not (kindIs "invalid" $number) }}{{ $_ := set $said.session_limits $limit $number }}{{ end -}}
{{- end -}}
{{- if .images.registryCredentials -}}
  {{- $_ := set $said "registry_credentials" "/etc/renku/secret/.dockerconfigjson" -}}
{{- end -}}
{{- if eq .projects "gitlab" -}}
  {{- $_ := merge $said (include "renku.settings.gitlab" . | fromJson) -}}
{{- end -}}
{{ include "renku.said" $said }}
{{- end -}}
{{- end }}

{{- define "renku.settings.gitlab" -}}
{{- with .gitlab -}}
{{- include "renku.said" (dict
  "gitlab_url" .url
  "gitlab_ca" (ternary "/etc/renku/config/gitlab-ca.pem" "" (ne .ca ""))
  "git_credentials" .gitCredentials
  "push" .push
  "private_images" .privateImages
  "access_window" .accessWindow
  "access_check" .accessCheck
  "ci_tag_pattern" .ciTagPattern
  "ci_protected_refs_only" .ciProtectedRefsOnly
) -}}
{{- end -}}
{{- end }}

{{- define "renku.settings.spawner" -}}
{{- $secrets := list -}}
{{- range .Values.renku.images.pullSecrets }}{{ $secrets = append $secrets . }}{{ end -}}
{{- include "renku.said" (dict
  "namespace" (include "renku.namespace" .)
  "storage_class" .Values.renku.volumes.storageClass
  "clone_image" (include "renku.cloneImage" .)
  "image_pull_secrets" (ternary $secrets nil (gt (len $secrets) 0))
  "hub_label" (include "renku.hubLabel" .)
  "probe_images" .Values.renku.sessions.probeImages
  "show_unsaved" .Values.renku.sessions.showUnsaved
  "prepuller" (ternary (include "renku.prepuller" .) "" .Values.renku.prepuller.enabled)
) -}}
{{- end }}

{{/* The log-in at GitLab, where that is how people log in. */}}
{{- define "renku.settings.login" -}}
{{- $renku := .Values.renku -}}
{{- $address := trimSuffix "/" $renku.address -}}
{{- $callback := ternary "" (printf "%s%shub/oauth_callback" $address (include "renku.basePath" .)) (eq $address "") -}}
{{- with $renku.gitlab -}}
{{- include "renku.said" (dict
  "gitlab_url" .url
  "client_id" .clientId
  "oauth_callback_url" $callback
  "allow_all" (ternary true nil .allowAll)
  "allowed_gitlab_groups" (ternary .allowedGroups nil (gt (len .allowedGroups) 0))
  "admin_users" (ternary .admins nil (gt (len .admins) 0))
) -}}
{{- end -}}
{{- end }}

{{/*
What Zero to JupyterHub's chart says otherwise: sessions in another namespace do not know the hub by its short name, and
routes that the proxy has lost are to be back within a minute.
*/}}
{{- define "renku.settings.hub" -}}
{{- $address := trimSuffix "/" .Values.renku.address -}}
{{- include "renku.said" (dict
  "authenticator_class" (include "renku.authenticator" .)
  "hub_connect_url" (printf "http://hub.%s.svc:8081" .Release.Namespace)
  "last_activity_interval" 50
  "public_url" (ternary "" (printf "%s%s" $address (include "renku.basePath" .)) (eq $address ""))
  "subdomain_host" (ternary $address "" .Values.renku.userSubdomains)
) -}}
{{- end }}

{{/* renku.json: configuration of traitlets, by class and trait. */}}
{{- define "renku.settings" -}}
{{- $all := dict
  "JupyterHub" (include "renku.settings.hub" . | fromJson)
  "Renku" (include "renku.settings.renku" . | fromJson)
  "RenkuSpawner" (include "renku.settings.spawner" . | fromJson)
-}}
{{- $login := include "renku.authenticator" . -}}
{{- if eq $login "gitlab" -}}
  {{- $_ := set $all "GitLabOAuthenticator" (include "renku.settings.login" . | fromJson) -}}
{{- else if eq $login "shared-password" -}}
  {{- $shared := dict "allow_all" true "admin_users" (list "admin") -}}
  {{- range $trait, $value := .Values.jupyterhub.hub.config.SharedPasswordAuthenticator }}{{ $_ := set $shared $trait $value }}{{ end -}}
  {{- $_ := set $all "SharedPasswordAuthenticator" $shared -}}
{{- end -}}
{{ $all | toPrettyJson }}
{{- end }}
