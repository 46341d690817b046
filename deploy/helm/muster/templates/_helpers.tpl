{{- define "muster.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "muster.fullname" -}}
{{- $name := include "muster.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Labels of all pods of this release, of servers and migrations. */}}
{{- define "muster.labels.all" -}}
app.kubernetes.io/name: {{ include "muster.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Selects the server pods. Must never change: the selector of a deployment is immutable. */}}
{{- define "muster.labels.server" -}}
{{ include "muster.labels.all" . }}
app.kubernetes.io/component: server
{{- end }}

{{- define "muster.labels.test" -}}
app.kubernetes.io/name: {{ include "muster.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "muster.labels" -}}
{{ include "muster.labels.all" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "muster.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "muster.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "muster.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* Settings as environment variables; secrets as files. */}}
{{- define "muster.env" -}}
- name: MUSTER_DATABASE__URL_FILE
  value: /run/muster/database/{{ .Values.database.key }}
{{- if .Values.fingerprintKey.existingSecret }}
- name: MUSTER_SECRETS__SERVER_KEY_FILE
  value: /run/muster/fingerprint/{{ .Values.fingerprintKey.key }}
{{- end }}
{{- if .Values.tls.existingSecret }}
- name: MUSTER_SERVER__TLS_CERTIFICATE_FILE
  value: /run/muster/tls/tls.crt
- name: MUSTER_SERVER__TLS_KEY_FILE
  value: /run/muster/tls/tls.key
{{- end }}
{{- if .Values.metrics.enabled }}
- name: MUSTER_METRICS__LISTEN
  value: 0.0.0.0:{{ .Values.metrics.port }}
{{- end }}
{{- range $section, $keys := .Values.settings }}
{{- range $key, $value := $keys }}
- name: MUSTER_{{ upper $section }}__{{ upper $key }}
  value: {{ if kindIs "slice" $value }}{{ toJson $value | quote }}{{ else if kindIs "float64" $value }}{{ int64 $value | quote }}{{ else }}{{ toString $value | quote }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "muster.volumeMounts" -}}
- { name: database, mountPath: /run/muster/database, readOnly: true }
{{- if .Values.fingerprintKey.existingSecret }}
- { name: fingerprint, mountPath: /run/muster/fingerprint, readOnly: true }
{{- end }}
{{- if .Values.tls.existingSecret }}
- { name: tls, mountPath: /run/muster/tls, readOnly: true }
{{- end }}
{{- end }}

{{- define "muster.volumes" -}}
- name: database
  secret: { secretName: {{ required "database.existingSecret is required: the secret with the database URL" .Values.database.existingSecret }}, defaultMode: 0440 }
{{- if .Values.fingerprintKey.existingSecret }}
- name: fingerprint
  secret: { secretName: {{ .Values.fingerprintKey.existingSecret }}, defaultMode: 0440 }
{{- end }}
{{- if .Values.tls.existingSecret }}
- name: tls
  secret: { secretName: {{ .Values.tls.existingSecret }}, defaultMode: 0440 }
{{- end }}
{{- end }}

{{/* Conforms to the `restricted` Pod Security Standard. */}}
{{- define "muster.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "muster.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}
