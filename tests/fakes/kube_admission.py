"""Who may do what, and what a namespace allows: RBAC, LimitRange, PodSecurity, ResourceQuota, all answered with 403."""

from collections.abc import Iterator
from typing import Any

from .kube_defaults import PRIORITIES
from .kube_errors import ApiError, forbidden
from .kube_store import Store
from .quantity import Quantity, parse

Object = dict[str, Any]
Rules = dict[str, dict[str, set[str]]]  # namespace ("*": all): resource ("*": all): verbs
EVERYTHING: Rules = {"*": {"*": {"*"}}}
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
NO_RESIZE = (
    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
)
ENFORCE, WARN = "pod-security.kubernetes.io/enforce", "pod-security.kubernetes.io/warn"


def authorise(user: str, rules: Rules, verb: str, resource: str, namespace: str, name: str) -> None:
    """Raise ApiError(403) unless a rule allows it. `resource` may be a sub-resource (pods/log)."""
    for place in {namespace, "*"} & rules.keys():
        for kind in {resource, "*"} & rules[place].keys():
            if {verb, "*"} & rules[place][kind]:
                return
    plain = resource.partition("/")[0]
    short, _, group = resource.partition(".")
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    shown = f'{plain} "{name}"' if name else plain
    error = ApiError(
        403,
        f'{shown} is forbidden: User "{user}" cannot {verb} resource "{short}" in API group "{group}" {where}',
        "Forbidden",
        details=({"name": name} if name else {}) | {"kind": plain},
    )
    error.headers = {"X-Content-Type-Options": "nosniff"}
    raise error


def reviewed(review: Object, rules: Rules) -> Object:
    """What a SelfSubjectAccessReview says, which everybody may ask for."""
    asked = review["spec"]["resourceAttributes"]
    resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
    if (group := asked.get("group", "")) not in {"", "apps"}:
        resource += f".{group}"
    try:
        authorise("", rules, asked["verb"], resource, asked.get("namespace", ""), asked.get("name", ""))
        status: Object = {"allowed": True, "reason": "RBAC: allowed by RoleBinding"}
    except ApiError:
        status = {"allowed": False}
    said = {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {}}
    return said | {"spec": review["spec"], "status": status}


def living_namespace(store: Store, resource: str, namespace: str, name: str) -> None:
    """Raise unless the namespace exists (404) and is not about to go (403)."""
    found = store.get("namespaces", "", namespace)
    if found["status"]["phase"] != "Active":
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        gone = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {namespace} is being terminated",
            "field": "metadata.namespace",
        }
        raise forbidden(resource, name, why, [gone])


def ranges(store: Store, namespace: str, kind: str) -> Iterator[Object]:
    for found in store.objects("limitranges", namespace):
        yield from (limit for limit in found["spec"]["limits"] if limit["type"] == kind)


def fill(container: Object, limit: Object) -> tuple[Object, list[str]]:
    """Return the container with the defaults of a LimitRange, and what it got."""
    got, own = [], container.get("resources", {})
    for part, source in (("requests", "defaultRequest"), ("limits", "default")):
        new = {name: value for name, value in limit.get(source, {}).items() if name not in own.get(part, {})}
        if new:
            own = own | {part: own.get(part, {}) | new}
            got.append(f"{', '.join(sorted(new))} {part[:-1]} for container {container['name']}")
    return container | {"resources": own}, got


def limited(store: Store, namespace: str, pod: Object) -> Object:
    """Return the pod as the LimitRanger leaves it."""
    for limit in ranges(store, namespace, "Container"):
        notes: list[str] = []
        spec = dict(pod["spec"])
        for part in {"containers", "initContainers"} & spec.keys():
            filled = [fill(container, limit) for container in spec[part]]
            spec[part] = [container for container, _ in filled]
            notes += [note for _, got in filled for note in got]
        if notes:
            text = f"LimitRanger plugin set: {'; '.join(notes)}"
            annotations = pod["metadata"].get("annotations", {}) | {"kubernetes.io/limit-ranger": text}
            pod = pod | {"spec": spec, "metadata": pod["metadata"] | {"annotations": annotations}}
    return pod


def beyond(limit: Object, own: Object, kind: str) -> Iterator[str]:
    for word, bound, sign in (("minimum", "min", -1), ("maximum", "max", 1)):
        for name, edge in limit.get(bound, {}).items():
            for part in ("requests", "limits") if sign < 0 else ("limits", "requests"):
                value = own.get(part, {}).get(name)
                if value is not None and (parse(value).value - parse(edge).value) * sign > 0:
                    yield f"{word} {name} usage per {kind} is {edge}, but {part[:-1]} is {value}"
                    break


def check_limits(store: Store, namespace: str, resource: str, given: Object) -> None:
    if resource == "pods":
        kind, parts = "Container", given["spec"].get("containers", []) + given["spec"].get("initContainers", [])
    else:
        kind, parts = "PersistentVolumeClaim", [given["spec"]]
    found = [
        text
        for limit in ranges(store, namespace, kind)
        for part in parts
        for text in beyond(limit, part.get("resources", {}), kind)
    ]
    if found:
        why = found[0] if len(found) == 1 else f"[{', '.join(found)}]"
        raise forbidden(resource, given["metadata"]["name"], why)


def containers(spec: Object) -> list[Object]:
    return spec.get("initContainers", []) + spec.get("containers", [])


def who(names: list[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"container{'s' if len(names) > 1 else ''} {quoted}"


def baseline(spec: Object) -> Iterator[str]:
    shared = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    if shared:
        yield f"host namespaces ({', '.join(f'{name}=true' for name in shared)})"
    paths = [volume["name"] for volume in spec.get("volumes", []) if "hostPath" in volume]
    if paths:
        names = ", ".join(f'"{name}"' for name in paths)
        yield f"hostPath volumes (volume{'s' if len(paths) > 1 else ''} {names})"
    strong = [one["name"] for one in containers(spec) if one.get("securityContext", {}).get("privileged")]
    if strong:
        yield f"privileged ({who(strong)} must not set securityContext.privileged=true)"


def restricted(spec: Object) -> Iterator[str]:
    context = spec.get("securityContext", {})
    all_of = [(one["name"], one.get("securityContext", {})) for one in containers(spec)]
    climbing = [name for name, own in all_of if own.get("allowPrivilegeEscalation") is not False]
    if climbing:
        wanted = "must set securityContext.allowPrivilegeEscalation=false"
        yield f"allowPrivilegeEscalation != false ({who(climbing)} {wanted})"
    able = [name for name, own in all_of if "ALL" not in own.get("capabilities", {}).get("drop", [])]
    if able:
        yield f'unrestricted capabilities ({who(able)} must set securityContext.capabilities.drop=["ALL"])'
    rooted = [name for name, own in all_of if not own.get("runAsNonRoot", context.get("runAsNonRoot"))]
    if rooted:
        yield f"runAsNonRoot != true (pod or {who(rooted)} must set securityContext.runAsNonRoot=true)"
    root = [name for name, own in all_of if own.get("runAsUser", context.get("runAsUser")) == 0]
    if root:
        yield f"runAsUser=0 (pod or {who(root)} must not set runAsUser=0)"
    allowed = {"RuntimeDefault", "Localhost"}
    loose = [
        name
        for name, own in all_of
        if own.get("seccompProfile", context.get("seccompProfile", {})).get("type") not in allowed
    ]
    if loose:
        kinds = '"RuntimeDefault" or "Localhost"'
        yield f"seccompProfile (pod or {who(loose)} must set securityContext.seccompProfile.type to {kinds})"


def violations(level: str, spec: Object) -> str:
    found = list(baseline(spec)) if level in {"baseline", "restricted"} else []
    found += list(restricted(spec)) if level == "restricted" else []
    return ", ".join(found)


def pod_security(store: Store, namespace: str, pod: Object) -> list[str]:
    """Raise ApiError(403) or return warnings, by the labels of the namespace."""
    wanted = store.get("namespaces", "", namespace)["metadata"].get("labels", {})
    level, warned = wanted.get(ENFORCE, ""), wanted.get(WARN, "")
    if found := violations(level, pod["spec"]):
        raise forbidden("pods", pod["metadata"]["name"], f'violates PodSecurity "{level}:latest": {found}')
    found = violations(warned, pod["spec"])
    return [f'would violate PodSecurity "{warned}:latest": {found}'] if found else []


def usage(resource: str, given: Object) -> dict[str, Quantity]:
    """Return what one object takes of a quota."""
    used = {resource: parse("1")}
    if resource == "persistentvolumeclaims":
        used["requests.storage"] = parse(given["spec"]["resources"]["requests"]["storage"])
    for container in given["spec"].get("containers", []) if resource == "pods" else []:
        for part in ("requests", "limits"):
            for name, value in container.get("resources", {}).get(part, {}).items():
                key = f"{part}.{name}"
                used[key] = used[key] + parse(value) if key in used else parse(value)
    return used


def taken(store: Store, namespace: str, resource: str, name: str) -> Quantity:
    found = Quantity(parse("0").value)
    for one in store.objects(resource, namespace):
        if one.get("status", {}).get("phase") not in {"Succeeded", "Failed"}:
            found = found + usage(resource, one).get(name, parse("0"))
    return found


def unspecified(hard: Object, pod: Object) -> Iterator[str]:
    for key in sorted(hard):
        part, _, name = key.partition(".")
        if part in {"requests", "limits"} and name in {"cpu", "memory"}:
            silent = [
                one["name"] for one in containers(pod["spec"]) if name not in one.get("resources", {}).get(part, {})
            ]
            if silent:
                yield f"{key} for: {','.join(silent)}"


def check_quota(store: Store, namespace: str, resource: str, given: Object) -> None:
    """Raise ApiError(403) when a ResourceQuota of the namespace has no room for the object."""
    name = given["metadata"]["name"]
    for quota in store.objects("resourcequotas", namespace):
        hard, title = quota["spec"]["hard"], quota["metadata"]["name"]
        missing = list(unspecified(hard, given)) if resource == "pods" else []
        if missing:
            raise forbidden(resource, name, f"failed quota: {title}: must specify {'; '.join(missing)}")
        wanted = {key: value for key, value in usage(resource, given).items() if key in hard}
        used = {key: taken(store, namespace, resource, key) for key in wanted}
        full = sorted(key for key, value in wanted.items() if (used[key] + value).value > parse(hard[key]).value)
        if full:
            parts = (("requested", wanted), ("used", used), ("limited", hard))
            text = ", ".join(f"{word}: {','.join(f'{key}={found[key]}' for key in full)}" for word, found in parts)
            raise forbidden(resource, name, f"exceeded quota: {title}, {text}")


def check_names(store: Store, namespace: str, pod: Object) -> None:
    """Raise ApiError(403) when the pod names a service account or priority class that is not there."""
    account = pod["spec"].get("serviceAccountName", "default")
    name = pod["metadata"].get("name", "")
    if account != "default" and store.find("serviceaccounts", namespace, account) is None:
        why = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
        raise forbidden("pods", name, why)
    if (wanted := pod["spec"].get("priorityClassName", "")) not in PRIORITIES:
        raise forbidden("pods", name, f"no PriorityClass with name {wanted} was found")
