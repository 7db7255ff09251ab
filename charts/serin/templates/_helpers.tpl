{{- define "serin.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "serin.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "serin.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "serin.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Names of objects of the whole cluster: two releases in one cluster must not collide. */}}
{{- define "serin.clusterName" -}}
{{- if eq .Release.Namespace (include "serin.fullname" .) }}
{{- include "serin.fullname" . }}
{{- else }}
{{- printf "%s-%s" .Release.Namespace (include "serin.fullname" .) }}
{{- end }}
{{- end }}

{{- define "serin.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "serin.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name: without serviceAccount.create it must be given" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "serin.selectorLabels" -}}
app.kubernetes.io/name: {{ include "serin.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ .Values.controller.component }}
{{- end }}

{{- define "serin.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "serin.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: serin
{{- end }}

{{- define "serin.image" -}}
{{- with .Values.controller.image }}
{{- if .registry }}{{ .registry }}/{{ end }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* The name of the Lease: see src/controller/leader.rs. */}}
{{- define "serin.lease" -}}
argo-rollouts-controller-lock{{ with .Values.controller.instanceId }}-{{ . }}{{ end }}
{{- end }}

{{/* subjects of every binding */}}
{{- define "serin.subjects" -}}
- kind: ServiceAccount
  name: {{ include "serin.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* Exactly the verbs that the controller uses; tests/chart.rs compares them with those that the tests run with. */}}
{{- define "serin.rules" -}}
- apiGroups: [argoproj.io]
  resources: [rollouts]
  verbs: [get, list, watch, patch]
- apiGroups: [argoproj.io]
  resources: [rollouts/status]
  verbs: [patch]
- apiGroups: [argoproj.io]
  resources: [analysisruns]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [argoproj.io]
  resources: [analysistemplates]
  verbs: [list, watch]
# No call of its own: asked for by the admission plugin OwnerReferencesPermissionEnforcement, which many clusters have, when a
# ReplicaSet, an AnalysisRun or a Job is made that blocks the deletion of its owner.
- apiGroups: [argoproj.io]
  resources: [rollouts/finalizers, analysisruns/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [patch]
- apiGroups: [""]
  resources: [podtemplates]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- with .Values.providerRBAC.additionalRules }}
{{ toYaml . }}
{{- end }}
{{- end }}
