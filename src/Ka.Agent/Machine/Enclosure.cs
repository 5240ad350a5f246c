using System.Diagnostics;

namespace Ka.Agent.Machine;

/// <summary>
/// Starts programs in namespaces of their own (util-linux unshare, unshare(1)). The scripts that furnish them are fixed text; everything
/// that varies is a positional argument. All mounts and processes of an enclosure end with it.
/// </summary>
static class Enclosure
{
    /// <summary>Where a program in <see cref="OnlyTarget"/> sees its target.</summary>
    public const string TargetInside = "/target";

    /// <summary>
    /// A root that holds the programs of the minimal environment, read-only, and the target; nothing else can be seen. /proc (which tar
    /// sets modes and attributes through) shows the enclosure's own processes only, so that no link in it leads out.
    /// </summary>
    const string OnlyTargetScript = """
        set -e
        box=$1 target=$2
        shift 2
        mount -t tmpfs -o size=256k,mode=755 ka-box "$box"
        for place in bin sbin lib lib32 lib64 libx32 usr; do
            if [ -L "/$place" ]; then
                ln -s "$(readlink "/$place")" "$box/$place"
            elif [ -d "/$place" ]; then
                mkdir "$box/$place"
                mount --bind "/$place" "$box/$place"
                mount -o remount,bind,ro "$box/$place"
            fi
        done
        mkdir "$box/proc" "$box/target"
        mount -t proc -o ro proc "$box/proc"
        mount --rbind "$target" "$box/target"
        mount -o remount,ro "$box"
        exec chroot "$box" "$@"
        """;

    /// <summary>
    /// The system as it is, but with its own processes only, a kernel command line without Ka's words, and no way to the kernel's memory
    /// and log. The shell stays as the first process, which collects what the program leaves behind.
    /// </summary>
    const string WithoutSecretsScript = """
        set -e
        cmdline=$1
        shift
        mount -t proc proc /proc
        mount --bind "$cmdline" /proc/cmdline
        for secret in /proc/kcore /dev/kmsg /dev/mem; do
            [ ! -e "$secret" ] || mount --bind /dev/null "$secret"
        done
        set +e
        "$@"
        exit $?
        """;

    /// <summary>The same for a program of the image in its own root, which gets the devices and nothing of /run.</summary>
    const string InImageScript = """
        set -e
        cmdline=$1 target=$2 dev=$3 proc=$4 sys=$5 run=$6
        shift 6
        mount -t proc proc /proc
        mount --bind "$cmdline" /proc/cmdline
        mount --bind /dev "$dev"
        mount -t proc proc "$proc"
        mount --bind "$cmdline" "$proc/cmdline"
        mount --bind /sys "$sys"
        mount -t tmpfs -o mode=755 run "$run"
        for secret in /proc/kcore "$proc/kcore" "$dev/kmsg" "$dev/mem"; do
            [ ! -e "$secret" ] || mount --bind /dev/null "$secret"
        done
        set +e
        chroot "$target" "$@"
        exit $?
        """;

    const string SearchPath = "/usr/sbin:/usr/bin:/sbin:/bin";

    /// <summary>A program of the minimal environment that can write to the target, which it sees as <see cref="TargetInside"/>, and to nothing else.</summary>
    public static ProcessStartInfo OnlyTarget(AgentPaths paths, string target, string program, IEnumerable<string> arguments)
    {
        var box = Path.Combine(paths.Run, "box"); // empty for ever: each enclosure mounts its own root on it, seen by itself only
        Directory.CreateDirectory(box);
        return Start([], OnlyTargetScript, [box, target, program, .. arguments]);
    }

    /// <summary>A script of the site or of the environment: it sees the minimal environment and its network, but not the agent.</summary>
    public static ProcessStartInfo WithoutSecrets(AgentPaths paths, string program, IEnumerable<string> arguments) =>
        Start(["--ipc"], WithoutSecretsScript, [CommandLine(paths), program, .. arguments]);

    /// <summary>A program of the image in a chroot, without network.</summary>
    /// <param name="places">The image's own /dev, /proc, /sys and /run, their links resolved.</param>
    public static ProcessStartInfo InImage(AgentPaths paths, string target, (string Dev, string Proc, string Sys, string Run) places, IEnumerable<string> command)
    {
        var start = Start(["--ipc", "--net"], InImageScript, [CommandLine(paths), target, places.Dev, places.Proc, places.Sys, places.Run, .. command]);
        start.Environment["PATH"] = SearchPath;
        return start;
    }

    /// <summary>The kernel line without the words by which the agent finds its server and shows who it is.</summary>
    internal static string Scrubbed(string commandLine) =>
        string.Join(' ', commandLine.Split([' ', '\t', '\n'], StringSplitOptions.RemoveEmptyEntries).Where(w => !w.StartsWith("ka.", StringComparison.Ordinal))) + "\n";

    static string CommandLine(AgentPaths paths)
    {
        var file = Path.Combine(paths.Run, "cmdline");
        Directory.CreateDirectory(paths.Run);
        File.WriteAllText(file, Scrubbed(File.ReadAllText(Path.Combine(paths.Proc, "cmdline"))));
        return file;
    }

    static ProcessStartInfo Start(IEnumerable<string> namespaces, string script, IEnumerable<string> arguments)
    {
        var start = Tool.Start("unshare", ["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", .. namespaces, "--", "sh", "-c", script, "ka", .. arguments]);
        var path = start.Environment["PATH"];
        start.Environment.Clear();
        start.Environment["PATH"] = string.IsNullOrEmpty(path) ? SearchPath : path;
        start.Environment["LC_ALL"] = "C";
        start.Environment["HOME"] = "/root";
        return start;
    }
}
