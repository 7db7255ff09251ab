package main

// Templates whose shape matters by itself: the contract's vectors, then one with what workloads commonly use.
var writtenTemplates = []string{
	`{"metadata":{"labels":{"app":"canary-scaledowndelay"}},"spec":{"containers":[{"name":"canary-scaledowndelay",
	"image":"nginx:1.19-alpine","ports":[{"name":"http","containerPort":80,"protocol":"TCP"}],
	"resources":{"requests":{"memory":"16Mi","cpu":"5m"}}}]}}`,
	`{"metadata":{"labels":{"app":"dynamic-stable-scale"}},"spec":{
	"readinessGates":[{"conditionType":"argoproj.io/e2e-readiness"}],"containers":[{"name":"dynamic-stable-scale",
	"image":"nginx:1.19-alpine","ports":[{"name":"http","containerPort":80,"protocol":"TCP"}],
	"resources":{"requests":{"memory":"16Mi","cpu":"5m"}}}]}}`,
	`{}`,
	`{"metadata":null,"spec":null}`,
	`{"metadata":{"creationTimestamp":null,"labels":{},"annotations":null},"spec":{"containers":[]}}`,
	`{"metadata":{"labels":{"app":"web","tier":"a<b>&c"},"annotations":{"prometheus.io/scrape":"true"}},"spec":{
	"serviceAccountName":"web","hostNetwork":false,"terminationGracePeriodSeconds":0,"unknown":{"a":1},
	"securityContext":{"runAsNonRoot":true,"runAsUser":0,"fsGroup":2000,"seccompProfile":{"type":"RuntimeDefault"},
	"sysctls":[{"name":"net.core.somaxconn","value":"1024"}]},
	"tolerations":[{"key":"k","operator":"Exists","effect":"NoExecute","tolerationSeconds":300},{"operator":"Exists"}],
	"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
	{"matchExpressions":[{"key":"z","operator":"In","values":["a","b"]}]}]}},"podAntiAffinity":{
	"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":100,"podAffinityTerm":{"topologyKey":"kubernetes.io/hostname",
	"labelSelector":{"matchLabels":{"app":"web"}},"namespaceSelector":{}}}]}},
	"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"ScheduleAnyway",
	"labelSelector":{"matchLabels":{"app":"web"}}}],
	"initContainers":[{"name":"init","image":"busybox","command":["sh","-c","echo '<&>' && true"],"restartPolicy":"Always"}],
	"containers":[{"name":"web","image":"web:1","args":[],"env":[{"name":"A","value":""},{"name":"N","valueFrom":
	{"fieldRef":{"fieldPath":"metadata.name"}}},{"name":"R","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu"}}},
	{"name":"S","valueFrom":{"secretKeyRef":{"name":"s","key":"k","optional":false}}},{"name":"C","valueFrom":
	{"configMapKeyRef":{"key":"k"}}}],"envFrom":[{"configMapRef":{"name":"c"}},{"prefix":"p_","secretRef":{}}],
	"resources":{"limits":{"cpu":"1.5","memory":"1.5Gi","nvidia.com/gpu":1},"requests":{"cpu":"0.001","memory":"1000m",
	"ephemeral-storage":"1e3"}},"livenessProbe":{"httpGet":{"path":"/","port":"http","httpHeaders":[{"name":"H","value":"v"}]},
	"periodSeconds":0},"readinessProbe":{"tcpSocket":{"port":80}},"startupProbe":{"grpc":{"port":9000}},
	"lifecycle":{"preStop":{"sleep":{"seconds":5}},"postStart":{"exec":{"command":["true"]}}},
	"securityContext":{"capabilities":{"drop":["ALL"],"add":[]},"allowPrivilegeEscalation":false},
	"volumeMounts":[{"name":"e","mountPath":"/e","readOnly":false}],"ports":[{"containerPort":80,"hostPort":0}]}],
	"volumes":[{"name":"e","emptyDir":{"sizeLimit":"100000u"}},{"name":"p","projected":{"sources":[{"serviceAccountToken":
	{"path":"t"}},{"configMap":{}},{"downwardAPI":{"items":[{"path":"l","fieldRef":{"fieldPath":"metadata.labels"}}]}}]}},
	{"name":"x","ephemeral":{"volumeClaimTemplate":{"spec":{"resources":{"requests":{"storage":"1Ti"}}}}}},
	{"name":"n"}],"overhead":{"cpu":"-1m"}}}`,
}
