using System.Collections.Immutable;
using Ka.Core.BootProfiles;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Drivers.Systems;
using Ka.Protocol.Agents;
using Ka.Engine;
using Ka.Engine.Ports;
using Ka.Engine.Workflows;
using Ka.Server.Agents;
using Ka.Server.Boot;
using Ka.Server.Hosting;
using Ka.Store;

namespace Ka.Server.Workflows;

/// <summary>
/// The running systems of one workflow's nodes: resting agents are taken over, others are reached by ssh with the server's key. A host
/// key of an earlier deployment by this server, or a certificate of its authority, says that it is a system of this site.
/// </summary>
sealed class SystemsPort(Workflow workflow, Site site, SiteKeys keys, BootDirectory boots, NodeBoots wishes, AgentHub hub, NodeTable table, TimeProvider clock) : ISystems
{
    /// <summary>The minimal environment's own kexec does it, so that the running system needs none; then nothing is left that could answer.</summary>
    const string KexecScript = """
        set -eu
        tar -x -f kexec.tar
        kexec() { ./kexec/ld.so --library-path ./kexec ./kexec/kexec "$@"; }
        line=$(cat cmdline)
        kexec -s -l vmlinuz --initrd=initramfs "--command-line=$line" || kexec -l vmlinuz --initrd=initramfs "--command-line=$line"
        sync
        setsid sh -c 'sleep 1; exec ./kexec/ld.so --library-path ./kexec ./kexec/kexec -e' </dev/null >/dev/null 2>&1 &
        """;

    /// <summary>An agent of an earlier try ends first; the new one outlives this session.</summary>
    const string AgentScript = """
        set -eu
        mkdir -p /run /mnt/dest
        if [ -f /run/ka-agent.pid ]; then kill "$(cat /run/ka-agent.pid)" 2>/dev/null || true; fi
        setsid ./ka-agent --cmdline ./cmdline </dev/null >log 2>&1 &
        echo $! >/run/ka-agent.pid
        """;

    readonly ImmutableArray<ClusterNode> _roster = workflow.Cluster.Nodes;
    readonly SshSystem _ssh = new(keys.ClientKeyFile, site.Configuration.StateDirectory);

    public IAsyncEnumerable<NodeResult> DoAsync(NodeBits nodes, SystemTask task, AttemptId attempt, Pace pace, CancellationToken cancel) =>
        FanOut.Over(
            nodes,
            pace,
            (index, token) => DoAsync(_roster[index], task, attempt.Resumed, token),
            _ => Fault.Of(FaultCodes.SystemUnreachable, $"the running system did nothing within {pace.Deadline.TotalSeconds:0} s"),
            cancel);

    async Task<Fault?> DoAsync(ClusterNode node, SystemTask task, bool resumed, CancellationToken cancel)
    {
        if (task == SystemTask.StartAgent && wishes.Adopt(workflow.Id, node.Name))
            return null;
        var (files, missing) = FilesFor(node, task);
        if (missing is not null)
            return missing;
        if (await keys.ClientKeyAsync(cancel) is (_, { } noKey))
            return noKey;
        var system = new SystemAddress(node.Name, node.Address, table.RecentFacts(node.Name, "hostKey", workflow.Id), keys.AuthorityKey);
        var fault = await _ssh.RunAsync(system, files, cancel);
        // The server died after such a jump: a machine that has gone cannot answer; whether its agent comes is the judge.
        return fault is not null && resumed && (task == SystemTask.KexecMinimal || hub.HasCheckedIn(workflow.Id, node.Name)) ? null : fault;
    }

    (ImmutableArray<SystemFile> Files, Fault? Fault) FilesFor(ClusterNode node, SystemTask task)
    {
        if (!MacAddress.TryParse(node.Mac, out var mac) || !boots.TryFindByMac(mac, out var described) || described.Profile is not BootProfile.MinimalEnvironment minimal)
            return ([], Fault.Of(FaultCodes.SystemRefused, "the node has no boot profile of the minimal environment", $"at {clock.GetUtcNow():HH:mm:ss}"));
        var line = minimal.Parameters.ToString();
        ImmutableArray<SystemFile> files = task == SystemTask.KexecMinimal
            ?
            [
                new("vmlinuz", minimal.KernelPath, null), new("initramfs", minimal.InitrdPath, null), new("kexec.tar", Beside("kexec.tar"), null),
                new("cmdline", null, line), new("go", null, KexecScript),
            ]
            : [new("ka-agent", Beside("ka-agent"), null), new("cmdline", null, line), new("go", null, AgentScript)];
        var absent = files.FirstOrDefault(f => f.Path is { } path && !File.Exists(path));
        return absent is null
            ? (files, null)
            : ([], Fault.Of(FaultCodes.MinimalMissing, $"{absent.Path} does not exist: build the minimal environment anew"));
    }

    string Beside(string name) => Path.Combine(Path.GetDirectoryName(site.KernelPath)!, name);
}
