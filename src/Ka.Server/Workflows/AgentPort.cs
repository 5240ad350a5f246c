using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Ka.Core.Clusters;
using Ka.Core.Disks;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Engine;
using Ka.Engine.Ports;
using Ka.Engine.Workflows;
using Ka.Protocol.Agents;
using Ka.Server.Agents;
using Ka.Server.Environments;
using Ka.Server.Hosting;
using Ka.Store;

namespace Ka.Server.Workflows;

/// <summary>The agents port of one workflow: turns tasks into typed orders and their results into faults, logs and facts.</summary>
sealed class AgentPort(
    Workflow workflow, AgentHub hub, SiteKeys keys, DiskKeys diskKeys, NodeTable table, LogTable logs, LiveProgress live, FileStore files, TimeProvider clock) : IAgents
{
    readonly ImmutableArray<ClusterNode> _roster = workflow.Cluster.Nodes;

    public IAsyncEnumerable<NodeResult> DoAsync(NodeBits nodes, AgentTask task, AttemptId attempt, Pace pace, CancellationToken cancel) =>
        FanOut.Over(
            nodes,
            pace,
            (index, token) => DoAsync(_roster[index], index, task, attempt, pace.Deadline, token),
            index => Fault.Of(FaultCodes.StepTimeout, $"{Word(task)} was not done within {pace.Deadline.TotalSeconds:0} s"),
            cancel);

    async Task<Fault?> DoAsync(ClusterNode node, int index, AgentTask task, AttemptId attempt, TimeSpan deadline, CancellationToken cancel)
    {
        var part = 0;
        if (task == AgentTask.Verify && FileManifests.Find(files, workflow.Environment.Image.Sha256) is null)
            return Fault.Of(FaultCodes.ManifestMissing, $"the list of the image's files is no longer in the store: {workflow.Environment.Image.Sha256}");
        var (orders, refused) = await OrdersAsync(node, task, $"{attempt.Workflow}/{attempt.Run}/{index}", cancel);
        if (refused is not null)
            return refused;
        foreach (var order in orders)
        {
            var id = attempt.Order($"{Word(task)}.{part++}", index);
            var fault = await GiveAsync(node, Word(task), new OrderGiven(id, (int)deadline.TotalSeconds, order), cancel);
            if (fault is null)
                continue;
            // The server died after such an order: a machine that has jumped cannot answer any more; what it booted is the judge.
            var jumped = attempt.Resumed && task is AgentTask.Kexec or AgentTask.Reboot && fault.Code == FaultCodes.AgentLost;
            return jumped ? null : fault;
        }
        return null;
    }

    public IAsyncEnumerable<NodeResult> OperateAsync(NodeBits nodes, CustomOperation operation, int again, AttemptId attempt, Pace pace, CancellationToken cancel) =>
        FanOut.Over(
            nodes,
            pace,
            (index, token) => GiveAsync(
                _roster[index],
                operation.Name,
                new OrderGiven(attempt.Order($"custom.{operation.Name}.{again}", index), (int)pace.Deadline.TotalSeconds, Orders(_roster[index], operation)),
                token),
            index => Fault.Of(FaultCodes.StepTimeout, $"{operation.Name} was not done within {pace.Deadline.TotalSeconds:0} s"),
            cancel);

    AgentOrder Orders(ClusterNode node, CustomOperation operation) => operation.Action == OperationAction.Send
        ? new PutFile(operation.File!, operation.FileName!, operation.Destination!, KadeployVariables.For(workflow, node))
        : new RunScript(Script(operation.Name, null, operation.File, operation.Arguments, node, operation.Timeout));

    /// <summary>The orders of a task; those that need something signed or made on the server first wait for it here.</summary>
    async Task<(IEnumerable<AgentOrder> Orders, Fault? Fault)> OrdersAsync(ClusterNode node, AgentTask task, string luck, CancellationToken cancel)
    {
        switch (task)
        {
            case AgentTask.Keys when workflow.Cluster.ServerKey:
                var (key, noKey) = await keys.ClientKeyAsync(cancel);
                return ([new InstallKeys(workflow.AuthorizedKeys.Add(key ?? ""))], noKey);
            case AgentTask.HostCertificate:
                if (table.Fact(workflow.Id, node.Name, "hostKey") is not { Length: > 0 } hostKey)
                    return ([], null);
                var (certificate, unsigned) = await keys.SignHostAsync(hostKey, $"{node.Name} {workflow.Id}", [node.Name, node.Address], cancel);
                return ([new InstallHostCertificate(certificate ?? "")], unsigned);
            default:
                return (Orders(node, task, luck), null);
        }
    }

    /// <summary>Gives one order, logs what the node said, and keeps what it found out.</summary>
    public async Task<Fault?> GiveAsync(ClusterNode node, string word, OrderGiven order, CancellationToken cancel)
    {
        var result = await hub.GiveAsync(workflow.Id, node.Name, order, p => live.Report(node.Name, p), cancel);
        live.Clear(node.Name);
        var text = string.Join('\n', new[] { result.StandardOutput, result.StandardError, result.Fault is { } f ? $"{f.Code}: {f.Message}\n{f.Evidence}" : null }
            .Where(t => !string.IsNullOrWhiteSpace(t)));
        if (text.Length > 0)
            logs.Add(workflow.Id, new NodeLog(clock.GetUtcNow(), node.Name, word, text));
        if (result.Values is { Count: > 0 } values)
            table.SetFacts(workflow.Id, values.Select(v => (node.Name, v.Key, v.Value)));
        return result.Fault is { } fault ? Fault.Of(new FaultCode(fault.Code), fault.Message, fault.Evidence) : null;
    }

    /// <summary>Puts a line of the server itself into the operation's log.</summary>
    public void Say(string word, string text) => logs.Add(workflow.Id, new NodeLog(clock.GetUtcNow(), "server", word, text));

    /// <param name="luck">Names the attempt and the node: other files are read on each node and at each try.</param>
    IEnumerable<AgentOrder> Orders(ClusterNode node, AgentTask task, string luck)
    {
        var environment = workflow.Environment;
        var filesystem = environment.FileSystem;
        var written = ImageLayouts.Written(environment, node.Layout);
        switch (task)
        {
            case AgentTask.SitePreInstall:
                foreach (var script in workflow.Cluster.PreInstalls)
                    yield return Install(script, node);
                break;
            case AgentTask.PreInstall:
                yield return Install(workflow.Environment.PreInstall!, node);
                break;
            case AgentTask.Verify:
                yield return Verify(node, luck);
                break;
            case AgentTask.Identity:
                yield return new SetIdentity(node.Name, node.Disk, written, filesystem, KeepFstab: environment.Image.Raw is { Target: RawTarget.Disk });
                break;
            case AgentTask.PostInstall:
                foreach (var script in workflow.Environment.PostInstalls.Concat(workflow.Cluster.PostInstalls))
                    yield return Install(script, node);
                break;
            case AgentTask.HostCertificate:
                break; // made with its signature
            case AgentTask.Network:
                yield return new ConfigureNetwork(environment.Network, node.Mac);
                break;
            case AgentTask.Files:
                yield return Files(node);
                break;
            case AgentTask.Keys:
                yield return new InstallKeys(workflow.AuthorizedKeys);
                break;
            case AgentTask.Bootloader:
                yield return new InstallBootloader(Boot(node), node.Disk, written);
                break;
            case AgentTask.Sync:
                yield return new SyncTarget(Unmount: false);
                break;
            case AgentTask.Kexec:
                yield return new KexecTarget(Boot(node), node.Disk, written, filesystem, Key(node));
                break;
            case AgentTask.Reboot:
                yield return new RebootNode();
                break;
            default:
                foreach (var order in DiskOrders(node, task))
                    yield return order;
                break;
        }
    }

    /// <summary>What makes a disk ready for the images, and what is done with images that were written.</summary>
    IEnumerable<AgentOrder> DiskOrders(ClusterNode node, AgentTask task)
    {
        var environment = workflow.Environment;
        var toFormat = ImageLayouts.ToFormat(environment, node.Layout);
        var mount = new MountTarget(node.Disk, ImageLayouts.Written(environment, node.Layout), environment.FileSystem);
        var places = new ImagePlaces(workflow, node);
        switch (task)
        {
            case AgentTask.Partition:
                yield return new PartitionDisk(node.Disk, node.Layout, node.PartitionScript is { } sha ? Script("partitioning", null, sha, [], node, TimeSpan.FromMinutes(2)) : null, workflow.Environment.Image.UnpackedBytes, Key(node));
                break;
            case AgentTask.Format:
                yield return new FormatPartitions(node.Disk, toFormat, ImageLayouts.DeployFileSystem(environment), OnlyDeploy: false);
                break;
            case AgentTask.FormatDeploy:
                yield return new FormatPartitions(node.Disk, toFormat, ImageLayouts.DeployFileSystem(environment), OnlyDeploy: true);
                break;
            case AgentTask.Mount:
                yield return mount;
                break;
            case AgentTask.Reformat:
                yield return new FormatPartitions(node.Disk, toFormat, ImageLayouts.DeployFileSystem(environment), OnlyDeploy: true);
                if (places.NothingIsWritten)
                    yield return mount;
                break;
            case AgentTask.VerifyBlocks:
                foreach (var order in places.Proofs(files))
                    yield return order;
                break;
            case AgentTask.Grow:
                yield return new GrowImage(places.Of(0)!);
                break;
            case AgentTask.Seed:
                yield return places.Seed();
                break;
        }
    }

    /// <summary>Orders are neither journalled nor logged; the key goes to this node's agent and nowhere else.</summary>
    DiskKey? Key(ClusterNode node) => node.Layout.IsEncrypted() ? new DiskKey(diskKeys.Of(node.Name)) : null;

    BootTarget Boot(ClusterNode node)
    {
        var boot = workflow.Environment.Boot;
        return new BootTarget(boot.Kernel, boot.Initrd, boot.ParamsOn(node.Params), boot.Loader);
    }

    VerifyTarget Verify(ClusterNode node, string luck)
    {
        var (image, boot) = (workflow.Environment.Image.Sha256, workflow.Environment.Boot);
        var seed = BinaryPrimitives.ReadUInt64BigEndian(SHA256.HashData(Encoding.UTF8.GetBytes(luck)));
        return new VerifyTarget(FileManifests.Find(files, image)!, image, workflow.Verify, seed, boot.Kernel, boot.Initrd) { Elsewhere = ImageLayouts.FilledElsewhere(workflow.Environment, node.Layout) };
    }

    WriteFiles Files(ClusterNode node)
    {
        var values = TemplateValues.Of(node, workflow.Cluster, workflow.Environment);
        return new WriteFiles([.. workflow.Environment.Files.Select(f => Rendered(f, values))]);
    }

    /// <exception cref="InvalidOperationException">The planner let a template pass that has no rendering.</exception>
    static RenderedFile Rendered(TemplateFile file, TemplateValues values) =>
        NodeTemplate.TryRender(file, values, out var text, out var errors)
            ? new RenderedFile(file.Path, text, file.Mode)
            : throw new InvalidOperationException($"{file.Path}: {errors[0].Message}");

    RunScript Install(PostInstall script, ClusterNode node) =>
        new(Script(script.Name, script.ArchiveSha256, script.ScriptSha256, script.Command, node, script.Timeout, script.Compression));

    ScriptSpec Script(
        string name, string? archive, string? file, ImmutableArray<string> command, ClusterNode node, TimeSpan timeout,
        ImageCompression compression = ImageCompression.None) =>
        new(name, archive, compression, file, file is null ? command : ["", .. command], KadeployVariables.For(workflow, node), (int)timeout.TotalSeconds);

    public static string Word(AgentTask task) => task switch
    {
        AgentTask.SitePreInstall => "site_pre_install",
        AgentTask.PreInstall => "pre_install",
        AgentTask.Partition => "partition",
        AgentTask.Format => "format",
        AgentTask.FormatDeploy => "format",
        AgentTask.Mount => "mount",
        AgentTask.Reformat => "reformat",
        AgentTask.Verify => "verify",
        AgentTask.Identity => "identity",
        AgentTask.HostCertificate => "host_certificate",
        AgentTask.Network => "network",
        AgentTask.Files => "files",
        AgentTask.PostInstall => "post_install",
        AgentTask.Keys => "keys",
        AgentTask.Bootloader => "bootloader",
        AgentTask.Sync => "sync",
        AgentTask.Kexec => "kexec",
        AgentTask.Reboot => "reboot",
        AgentTask.VerifyBlocks => "verify_blocks",
        AgentTask.Grow => "grow",
        AgentTask.Seed => "seed",
    };
}

/// <summary>The variables of Kadeploy3's script contract that the server knows; the agent adds those of the disk.</summary>
static class KadeployVariables
{
    public static ImmutableDictionary<string, string> For(Workflow workflow, ClusterNode node)
    {
        var environment = workflow.Environment;
        var own = new Dictionary<string, string>(workflow.Cluster.Variables);
        foreach (var (name, value) in environment.Variables)
            own[name] = value;
        return new Dictionary<string, string>(own)
        {
            ["KADEPLOY_CLUSTER"] = workflow.Cluster.Name,
            ["KADEPLOY_ENV"] = environment.Name,
            ["KADEPLOY_ENV_KERNEL"] = environment.Boot.Kernel,
            ["KADEPLOY_ENV_INITRD"] = environment.Boot.Initrd ?? "",
            ["KADEPLOY_ENV_KERNEL_PARAMS"] = string.Join(' ', environment.Boot.ParamsOn(node.Params)),
            ["KADEPLOY_ENV_HYPERVISOR"] = "",
            ["KADEPLOY_ENV_HYPERVISOR_PARAMS"] = "",
            ["KADEPLOY_OS_KIND"] = environment.Os,
            ["KADEPLOY_FS_TYPE"] = environment.FileSystem switch
            {
                FileSystemKind.Ext4 => "ext4",
                FileSystemKind.Xfs => "xfs",
                FileSystemKind.Btrfs => "btrfs",
                FileSystemKind.Vfat => "vfat",
                FileSystemKind.Swap => "swap",
                FileSystemKind.None => "",
            },
            ["KADEPLOY_NODE"] = node.Name,
            ["KADEPLOY_WORKFLOW"] = workflow.Id,
        }.ToImmutableDictionary();
    }
}
