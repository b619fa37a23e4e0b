{{- define "empalme.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "empalme" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-empalme" (.Release.Name | trunc 42 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- /* What pods of a part are found by: {part: NAME, root: $}. */ -}}
{{- define "empalme.selector" -}}
app.kubernetes.io/name: {{ .part }}
{{- if not .root.Values.plainManifest }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}
{{- end -}}

{{- /* Labels of an object: {part: NAME, root: $}. */ -}}
{{- define "empalme.labels" -}}
{{ include "empalme.selector" . }}
{{- if not .root.Values.plainManifest }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}
{{- end -}}

{{- define "empalme.image" -}}
image: {{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end -}}

{{- define "empalme.podIp" -}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
{{- end -}}

{{- define "empalme.probes" -}}
readinessProbe:
  httpGet: {path: /readyz, port: {{ . }}}
  periodSeconds: 5
livenessProbe:
  httpGet: {path: /healthz, port: {{ . }}}
  periodSeconds: 10
  failureThreshold: 6
{{- end -}}

{{- define "empalme.unprivileged" -}}
securityContext:
  runAsUser: 65532
  runAsGroup: 65532
  runAsNonRoot: true
  readOnlyRootFilesystem: true
  allowPrivilegeEscalation: false
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "empalme.podAnnotations" -}}
{{- with .Values.podAnnotations }}{{ toYaml . }}
{{ end }}
{{- if not .Values.plainManifest }}empalme.io/pools: {{ join "," .Values.pools | quote }}{{ end }}
{{- end -}}

{{- /* Programs that are wrong together; one by one values.schema.json judges them. */ -}}
{{- define "empalme.judge" -}}
{{- if eq .Values.topology "ha" -}}
{{- if has "auto" .Values.pools -}}
{{- fail "topology ha: pools may not hold auto, since a controller on the pod network does not see the node's subnet; name CIDRs or ranges" -}}
{{- end -}}
{{- if eq .Values.dataplane.announce "auto" -}}
{{- fail "topology ha: dataplane.announce may not be auto, since every data plane would announce every address; use vrrp:NAME, or none, or interface:NAME with a nodeSelector of one node" -}}
{{- end -}}
{{- else if hasPrefix "vrrp:" .Values.dataplane.announce -}}
{{- fail "topology single: dataplane.announce vrrp:NAME is for several data planes; use auto, interface:NAME or none, or topology ha" -}}
{{- else if .Values.dataplane.handoff -}}
{{- fail "topology single: dataplane.handoff needs topology ha; a single pod is recreated" -}}
{{- end -}}
{{- if and .Values.dataplane.vrrpPeers (not (hasPrefix "vrrp:" .Values.dataplane.announce)) -}}
{{- fail "dataplane.vrrpPeers is for dataplane.announce vrrp:NAME" -}}
{{- end -}}
{{- if eq (int .Values.controller.observePort) (int .Values.dataplane.observePort) -}}
{{- fail "controller.observePort and dataplane.observePort may not be the same" -}}
{{- end -}}
{{- end -}}

{{- define "empalme.controllerContainer" -}}
- name: controller
  {{- include "empalme.image" . | nindent 2 }}
  command: [empalme-controller]
  args:
    - --source=kubernetes
    {{- if ne .Values.loadBalancerClass "empalme.io/lb" }}
    - --class={{ .Values.loadBalancerClass }}
    {{- end }}
    {{- if .Values.claimUnclassed }}
    - --claim-unclassed
    {{- end }}
    {{- if .Values.strictEndpoints }}
    - --strict-endpoints
    {{- end }}
    {{- if eq .Values.topology "ha" }}
    - --lease=$(POD_NAMESPACE)/{{ include "empalme.fullname" . }}
    - --dataplane-service=$(POD_NAMESPACE)/{{ include "empalme.fullname" . }}-dataplane
    - --tls-secret=$(POD_NAMESPACE)/{{ include "empalme.fullname" . }}-tls
    {{- else }}
    - --dataplane=unix:/run/empalme/dataplane.sock
    {{- end }}
    - --observe=$(POD_IP):{{ .Values.controller.observePort }}
    {{- if ne .Values.controller.logLevel "info" }}
    - --log-level={{ .Values.controller.logLevel }}
    {{- end }}
    {{- range .Values.controller.extraArgs }}
    - {{ . | quote }}
    {{- end }}
  env:
    - {name: EMPALME_CONTROLLER_ADMIN, value: "unix:/run/empalme/controller.sock"}
    {{- include "empalme.podIp" . | nindent 4 }}
    {{- if eq .Values.topology "ha" }}
    - name: POD_NAMESPACE
      valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
    {{- end }}
    - name: EMPALME_POOL
      valueFrom: {configMapKeyRef: {name: {{ include "empalme.fullname" . }}, key: pool}}
  {{- include "empalme.probes" .Values.controller.observePort | nindent 2 }}
  resources:
    {{- toYaml .Values.controller.resources | nindent 4 }}
  {{- include "empalme.unprivileged" . | nindent 2 }}
  volumeMounts:
    - {name: run, mountPath: /run/empalme}
{{- end -}}

{{- define "empalme.dataplaneContainer" -}}
- name: dataplane
  {{- include "empalme.image" . | nindent 2 }}
  {{- if eq .Values.topology "ha" }}
  command:
    - sh
    - -c
    - |
      {{- .Files.Get "files/stay.sh" | trim | nindent 6 }}
    - empalme-dataplane
  {{- else }}
  command: [empalme-dataplane]
  {{- end }}
  args:
    {{- if eq .Values.topology "ha" }}
    - --admin=tcp:$(POD_IP):{{ .Values.dataplane.adminPort }}
    - --tls-cert=/etc/empalme/tls/server.crt
    - --tls-key=/etc/empalme/tls/server.key
    - --tls-ca=/etc/empalme/tls/ca.crt
    {{- else }}
    - --admin=unix:/run/empalme/dataplane.sock
    {{- end }}
    - --state-dir=/var/lib/empalme
    {{- if ne .Values.topology "ha" }}
    - --announce={{ .Values.dataplane.announce }}
    {{- end }}
    {{- if .Values.dataplane.vrrpPeers }}
    - --vrrp-peers={{ join "," .Values.dataplane.vrrpPeers }}
    {{- end }}
    - --drain={{ .Values.dataplane.drainSeconds }}
    {{- if .Values.dataplane.handoff }}
    - --handoff=/run/empalme/handoff.sock
    {{- end }}
    {{- if .Values.dataplane.workers }}
    - --workers={{ .Values.dataplane.workers }}
    {{- end }}
    - --observe=$(POD_IP):{{ .Values.dataplane.observePort }}
    {{- if ne .Values.dataplane.logLevel "info" }}
    - --log-level={{ .Values.dataplane.logLevel }}
    {{- end }}
    {{- if .Values.dataplane.logConnections }}
    - --log-connections={{ .Values.dataplane.logConnections }}
    {{- end }}
    {{- range .Values.dataplane.extraArgs }}
    - {{ . | quote }}
    {{- end }}
  env:
    {{- include "empalme.podIp" . | nindent 4 }}
    {{- if eq .Values.topology "ha" }}
    - name: EMPALME_ANNOUNCE
      valueFrom: {configMapKeyRef: {name: {{ include "empalme.fullname" . }}, key: announce}}
    {{- end }}
  {{- include "empalme.probes" .Values.dataplane.observePort | nindent 2 }}
  resources:
    {{- toYaml .Values.dataplane.resources | nindent 4 }}
  securityContext:
    # Kubernetes has no ambient capabilities: only uid 0 gets those that are added.
    {{- if ne .Values.topology "ha" }} The
    # group is the controller's, so that it may open the admin socket (0660).
    {{- end }}
    runAsUser: 0
    {{- if ne .Values.topology "ha" }}
    runAsGroup: 65532
    {{- end }}
    readOnlyRootFilesystem: true
    allowPrivilegeEscalation: false
    capabilities: {drop: [ALL], add: [NET_ADMIN, NET_RAW, NET_BIND_SERVICE]}
    seccompProfile: {type: RuntimeDefault}
  volumeMounts:
    - {name: run, mountPath: /run/empalme}
    - {name: state, mountPath: /var/lib/empalme}
    {{- if eq .Values.topology "ha" }}
    - {name: tls, mountPath: /etc/empalme/tls, readOnly: true}
    {{- end }}
{{- end -}}

{{- /* What the pods of the data plane share, in whatever topology. */ -}}
{{- define "empalme.hostPod" -}}
hostNetwork: true
# On the host network the node's own resolver does not know the cluster's names.
dnsPolicy: ClusterFirstWithHostNet
# Connections that are open at SIGTERM have {{ .Values.dataplane.drainSeconds }} s (--drain) before they are reset.
terminationGracePeriodSeconds: {{ add .Values.dataplane.drainSeconds 10 }}
{{- include "empalme.placement" . }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
nodeSelector:
  {{- toYaml .Values.nodeSelector | nindent 2 }}
{{- end -}}

{{- define "empalme.placement" }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
