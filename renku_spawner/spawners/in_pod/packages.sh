# List the software of an image: packages.sh <text of packages.py> [<root>]
# Uses the first python3 that is new enough, or else lists what a POSIX shell can read by itself. Needs no other
# programs; uses awk if there is one.
root=${2%/}
tab=$(printf '\t')

by_python() {
    for python in python3 /opt/conda/bin/python3 /usr/local/bin/python3 /usr/bin/python3; do
        "$python" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 6))' 2> /dev/null && exec "$python" -I -S -c "$1" "$root/"
    done
}

by_shell() {
    echo 'renku-probe 1'
    for prefix in "$root"/opt/conda "$root"/opt/conda/envs/* "$root"/opt/venv "$root"/usr "$root"/usr/local; do
        for found in "$prefix"/lib/python3*/site-packages/*.dist-info "$prefix"/lib/python3*/dist-packages/*.dist-info \
            "$prefix"/local/lib/python3*/dist-packages/*.dist-info; do
            [ -d "$found" ] || continue
            name=${found##*/} name=${name%.dist-info}
            echo "python$tab${name%-*}$tab${name##*-}"
        done
        for found in "$prefix"/conda-meta/*.json; do
            [ -f "$found" ] || continue
            name=${found##*/} name=${name%-*.json}
            echo "conda$tab${name%-*}$tab${name##*-}"
        done
        for found in "$prefix"/lib/R/library/*/DESCRIPTION "$prefix"/lib/R/site-library/*/DESCRIPTION \
            "$prefix"/local/lib/R/site-library/*/DESCRIPTION; do
            [ -f "$found" ] || continue
            version=
            while IFS= read -r line; do
                case $line in Version:*) version=${line#Version:} version=${version# } && break ;; esac
            done < "$found"
            name=${found%/DESCRIPTION}
            echo "r$tab${name##*/}$tab$version"
        done
    done

    status=$root/var/lib/dpkg/status
    if [ -f "$status" ] && command -v awk > /dev/null; then
        awk '/^Package: / { name = $2 } /^Status: / { there = /ok installed$/ } /^Version: / { version = $2 }
            /^$/ { if (name && there) print "debian\t" name "\t" version; name = version = there = "" }
            END { if (name && there) print "debian\t" name "\t" version }' "$status"
    elif [ -f "$status" ]; then
        name= there= version=
        while IFS= read -r line || [ -n "$line" ]; do
            case $line in
                Package:*) name=${line#Package: } ;;
                Status:*\ ok\ installed) there=yes ;;
                Version:*) version=${line#Version: } ;;
                '') [ -z "$there" ] || echo "debian$tab$name$tab$version"; name= there= version= ;;
            esac
        done < "$status"
        [ -z "$there" ] || echo "debian$tab$name$tab$version"
    fi
    echo end
}

# As a child, since the first process of a container cannot be killed from inside.
{ [ -n "$RENKU_PROBE_SHELL" ] || by_python "$1"; by_shell; } &
child=$!
(sleep 4 && kill -9 "$child") > /dev/null 2>&1 &
wait "$child"
exit 0
