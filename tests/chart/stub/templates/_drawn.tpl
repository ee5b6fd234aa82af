{{- /* As Zero to JupyterHub's chart has them: drawn anew at each include while there is no Secret to look up. */}}
{{- define "jupyterhub.hub.config.ConfigurableHTTPProxy.auth_token" }}{{ randAlphaNum 64 }}{{ end }}
{{- define "jupyterhub.hub.config.JupyterHub.cookie_secret" }}{{ randAlphaNum 64 }}{{ end }}
{{- define "jupyterhub.hub.config.CryptKeeper.keys" }}{{ randAlphaNum 64 }}{{ end }}
{{- define "jupyterhub.hub.services.get_api_token" }}{{ randAlphaNum 64 }}{{ end }}
