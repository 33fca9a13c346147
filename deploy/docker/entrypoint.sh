#!/bin/bash
# Runs the given command; as `executor`, which is what Spark on Kubernetes asks for, it becomes one of Spark's executors.
set -eu
if [ "${1:-}" != executor ]; then
    exec "$@"
fi
options=()
while IFS= read -r name; do # SPARK_JAVA_OPT_0, SPARK_JAVA_OPT_1, ... in their order
    options+=("${!name}")
done < <(compgen -v SPARK_JAVA_OPT_ | sort --version-sort)
spark_home=$(python -c 'import importlib.util as u; print(u.find_spec("pyspark").submodule_search_locations[0])')
exec "${JAVA_HOME}/bin/java" "${options[@]}" "-Xms${SPARK_EXECUTOR_MEMORY}" "-Xmx${SPARK_EXECUTOR_MEMORY}" \
    -cp "${spark_home}/jars/*" org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
    --driver-url "${SPARK_DRIVER_URL}" --executor-id "${SPARK_EXECUTOR_ID}" --cores "${SPARK_EXECUTOR_CORES}" \
    --app-id "${SPARK_APPLICATION_ID}" --hostname "${SPARK_EXECUTOR_POD_IP}" \
    --resourceProfileId "${SPARK_RESOURCE_PROFILE_ID}" --podName "${SPARK_EXECUTOR_POD_NAME}"
