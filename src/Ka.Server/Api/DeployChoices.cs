using System.Collections.Immutable;
using Ka.Core.BootProfiles;
using Ka.Core.Clusters;
using Ka.Core.Disks;
using Ka.Core.Documents;
using Ka.Core.Faults;
using Ka.Protocol.Rest;
using Ka.Server.Configuration;
using Ka.Server.Environments;

namespace Ka.Server.Api;

/// <summary>What a person asks for beside environment and nodes, put over what the cluster says.</summary>
static class DeployChoices
{
    public static DeployOptions Options(DeployBody body, VlanSettings? vlan, FileStore files, ICollection<Fault> faults) => new()
    {
        Partitioning = !body.NoPartitioning,
        Bootloader = !body.NoBootloader,
        Breakpoint = body.Breakpoint,
        Vlan = Vlan(body.Vlan, vlan, faults),
        Profile = body.BootProfile is { } profile ? Profile(profile, files, faults) : null,
    };

    internal static VlanWish? Vlan(string? name, VlanSettings? settings, ICollection<Fault> faults)
    {
        if (name is not null && settings is null)
            faults.Add(Fault.Of(FaultCodes.VlanUnconfigured, $"VLAN '{DocumentError.Cut(name)}' was asked for, but the site's configuration has no 'vlan'"));
        if (name is not null && !VlanWish.IsName(name))
            faults.Add(Fault.Of(FaultCodes.RequestInvalid, $"'{DocumentError.Cut(name)}' is no VLAN: up to 32 letters, digits, '-' and '_' are expected"));
        return name is null && settings?.Default is null ? null : new VlanWish(name, settings?.Default);
    }

    internal static ProfileTemplate? Profile(ApplyBody document, FileStore files, ICollection<Fault> faults)
    {
        var (reading, errors) = BootProfileReader.Read(document.File, document.Text);
        foreach (var error in errors.Where(e => e.Severity == Severity.Error))
            faults.Add(Fault.Of(FaultCodes.ProfileInvalid, error.Render(document.Text)));
        if (reading is null)
            return null;
        var kernel = Sent(reading.Kernel);
        var initrd = reading.Initrd is { } named ? Sent(named) : null;
        return kernel is null ? null : new ProfileTemplate(document.File, kernel, initrd, reading.Params, reading.ParamsAt.ToString());

        ProfileFile? Sent(NamedFile file)
        {
            if (DigestOf(document, file.Path, files) is { } digest && new FileInfo(files.PathOf(digest)).Length is > 0 and var bytes)
                return new ProfileFile(file.Path, digest, bytes);
            faults.Add(Fault.Of(FaultCodes.ProfileInvalid, $"{file.At}: the file '{DocumentError.Cut(file.Path)}' was not sent, or is empty"));
            return null;
        }
    }

    /// <summary>A file that a document names, in the store; null when the client has not sent it.</summary>
    static string? DigestOf(ApplyBody document, string path, FileStore files) =>
        document.Files.TryGetValue(path, out var digest) && FileStore.IsDigest(digest) && files.Use(digest) ? digest : null;

    /// <summary>The cluster as this deployment wants it.</summary>
    public static Cluster Over(Cluster cluster, DeployBody body, FileStore files, ICollection<Fault> faults)
    {
        cluster = StrategyWords.Over(cluster, body.Strategies.IsDefault ? [] : body.Strategies, faults);
        if (body.NoKexec)
            cluster = cluster.WithoutKexec();
        if (body.ReformatTmp is { } fileSystem)
            cluster = WithTmp(cluster, fileSystem, faults);
        cluster = cluster with { Broadcast = cluster.Broadcast with { Stragglers = Stragglers(cluster.Broadcast.Stragglers, body, faults) } };
        return body.CustomSteps is { } steps ? WithOperations(cluster, steps, files, faults) : cluster;
    }

    static StragglerRules Stragglers(StragglerRules rules, DeployBody body, ICollection<Fault> faults)
    {
        var (policy, floor) = (rules.Policy, rules.FloorBitsPerSecond);
        if (body.Straggler is { } word && !StragglerRules.TryParse(word, out policy))
            faults.Add(Fault.Of(FaultCodes.RequestInvalid, $"'{DocumentError.Cut(word)}' is no policy for stragglers: expected keep, tail or evict"));
        if (body.Floor is { } rate && !DataRate.TryParse(rate, out floor))
            faults.Add(Fault.Of(FaultCodes.RequestInvalid, $"'{DocumentError.Cut(rate)}' is no rate: expected {DataRate.Expected}"));
        return new StragglerRules(policy, floor);
    }

    static Cluster WithTmp(Cluster cluster, string fileSystem, ICollection<Fault> faults)
    {
        if (!Enum.TryParse<FileSystemKind>(fileSystem, ignoreCase: true, out var kind) || kind is FileSystemKind.None or FileSystemKind.Swap || int.TryParse(fileSystem, out _))
        {
            faults.Add(Fault.Of(FaultCodes.RequestInvalid, $"'{DocumentError.Cut(fileSystem)}' is no file system for the partition 'tmp': expected ext4, xfs or vfat"));
            return cluster;
        }
        if (cluster.Nodes.FirstOrDefault(n => n.Layout.Partitions.All(p => p.Name != "tmp")) is { } without)
        {
            faults.Add(Fault.Of(FaultCodes.RequestInvalid, $"the layout of {without.Name} has no partition named 'tmp' that could be made anew"));
            return cluster;
        }
        return cluster with
        {
            Nodes =
            [
                .. cluster.Nodes.Select(n => n with
                {
                    Layout = n.Layout with { Partitions = [.. n.Layout.Partitions.Select(p => p.Name == "tmp" ? p with { FileSystem = kind } : p)] },
                }),
            ],
        };
    }

    static Cluster WithOperations(Cluster cluster, ApplyBody steps, FileStore files, ICollection<Fault> faults)
    {
        var (reading, errors) = OperationsReader.ReadDocument(steps.File, steps.Text);
        foreach (var error in errors.Where(e => e.Severity == Severity.Error))
            faults.Add(Fault.Of(FaultCodes.OperationInvalid, error.Render(steps.Text)));
        if (reading is null)
            return cluster;
        var operations = ImmutableArray.CreateBuilder<CustomOperation>();
        foreach (var operation in reading.Operations)
        {
            if (operation.File is not { } path)
                operations.Add(operation);
            else if (DigestOf(steps, path, files) is { } digest)
                operations.Add(operation with { File = digest });
            else
                faults.Add(Fault.Of(FaultCodes.OperationInvalid, $"custom operation '{operation.Name}': the file '{DocumentError.Cut(path)}' was not sent"));
        }
        return cluster with { Operations = new OperationsReading(operations.ToImmutable(), reading.Overrides).Over(cluster.Operations) };
    }
}
