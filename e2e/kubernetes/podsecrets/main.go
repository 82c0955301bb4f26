// Command podsecrets reads a Pod as JSON from standard input and prints the names of the
// Secrets that Kubernetes finds in it: those that it lets a node have whose pod it is.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/api/v1/pod"
)

func main() {
	var p corev1.Pod
	d := json.NewDecoder(os.Stdin)
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pod.VisitPodSecretNames(&p, func(name string) bool {
		fmt.Println(name)
		return true
	})
}
