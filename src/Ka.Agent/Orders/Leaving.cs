using System.Collections.Immutable;
using Ka.Agent.Machine;
using Ka.Core.Disks;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Carries out what ends the minimal environment: <see cref="SyncTarget"/>, <see cref="KexecTarget"/>, <see cref="RebootNode"/>.</summary>
static class Leaving
{
    /// <summary>How long a machine that is done waits for the successors that it still serves.</summary>
    static readonly TimeSpan ServingPatience = TimeSpan.FromSeconds(60);

    public static async Task<OrderOutcome> Sync(SyncTarget order, OrderContext context, Report report, CancellationToken cancel)
    {
        report("sync", 0);
        return await Flush(context.Paths, order.Unmount, cancel) is { } fault ? fault : OrderOutcome.Done;
    }

    public static async Task<OrderOutcome> Kexec(KexecTarget order, OrderContext context, Report report, CancellationToken cancel)
    {
        report("kexec", 0);
        var (disk, fault) = await TargetDisk.Find(context.Paths, order.Select, order.Layout, order.DeployFileSystem, cancel);
        if (disk is null)
        {
            return fault!;
        }
        var (boot, missing) = BootFiles.Find(order.Boot, context.Paths.Target);
        if (boot is null)
        {
            return missing!;
        }
        if (SuperBlock.UuidOf(disk.Deploy.FileSystem, disk.Deploy.Device) is not { } uuid)
        {
            return Fault.Of(FaultCodes.DiskMismatch, "The deploy partition does not hold the file system that was made on it.", disk.Deploy.Device);
        }
        var loaded = await Load(boot, CommandLine(order.Boot, disk.RootParameter(uuid)), disk, order.Key, context, cancel);
        if (loaded.Or(FaultCodes.KexecFailed, "The kernel could not be loaded for kexec.") is { } notLoaded)
        {
            return notLoaded;
        }
        // Arrays need no stopping: md makes them clean when the kernel leaves (its reboot notifier).
        return await Flush(context.Paths, unmount: true, cancel) is { } notFlushed
            ? notFlushed
            : new OrderOutcome(null, Afterwards: () => Leave(context, kexec: true));
    }

    static async Task<ToolOutcome> Load(BootFiles boot, string line, TargetDisk disk, DiskKey? key, OrderContext context, CancellationToken cancel)
    {
        var initrd = boot.InitrdFile;
        var opened = Path.Combine(context.Paths.Run, "initrd-with-key");
        try
        {
            if (initrd is not null && key is not null && disk.Layout.HasEncryptedRoot())
            {
                BootKey.Append(initrd, opened, DeployedStack.Encrypted(disk), key);
                initrd = opened;
            }
            ImmutableArray<string> load = ["-l", boot.KernelFile, $"--command-line={line}"];
            load = initrd is null ? load : load.Add($"--initrd={initrd}");
            var loaded = await Tool.Run("kexec", ["-s", .. load], cancel);
            // Secure Boot locks the other system call, which cannot check a signature (kernel_lockdown(7)).
            return loaded.Ok || context.SecureBoot ? loaded : await Tool.Run("kexec", load, cancel);
        }
        finally
        {
            File.Delete(opened);
        }
    }

    public static async Task<OrderOutcome> Reboot(OrderContext context, Report report, CancellationToken cancel)
    {
        report("reboot", 0);
        return await Flush(context.Paths, unmount: true, cancel) is { } fault
            ? fault
            : new OrderOutcome(null, Afterwards: () => Leave(context, kexec: false));
    }

    /// <summary>The kernel line of the deployed system.</summary>
    /// <param name="root">The whole parameter, <c>root=…</c>.</param>
    public static string CommandLine(BootTarget boot, string root) => string.Join(' ', boot.Params.Prepend(root));

    static async Task Leave(OrderContext context, bool kexec)
    {
        await Task.WhenAny(context.Serving, Task.Delay(ServingPatience));
        if (kexec)
        {
            await Tool.Run("kexec", ["-e"], CancellationToken.None); // returns only when it failed
        }
        Native.Reboot();
    }

    /// <summary>A post-install may have started daemons of the image in a chroot; they would hold the target.</summary>
    static void EndProcessesIn(AgentPaths paths)
    {
        foreach (var directory in Directory.EnumerateDirectories(paths.Proc))
        {
            try
            {
                if (int.TryParse(Path.GetFileName(directory), out var process)
                    && new FileInfo(Path.Combine(directory, "root")).LinkTarget is { } root
                    && (root == paths.Target || root.StartsWith(paths.Target + "/", StringComparison.Ordinal)))
                {
                    Native.Kill(process);
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // it has ended meanwhile
            }
        }
    }

    /// <summary>Writes every file system of the target to its disk, with every error seen, and unmounts it.</summary>
    static async Task<Fault?> Flush(AgentPaths paths, bool unmount, CancellationToken cancel)
    {
        var mounts = Mounts.Below(Mounts.Read(paths), paths.Target);
        if (Mounts.Sync(mounts, "The target") is { } notWritten)
        {
            return notWritten;
        }
        if (unmount)
        {
            EndProcessesIn(paths);
            if (await Mounts.Unmount(mounts, cancel) is { } busy)
            {
                return busy;
            }
            var left = Mounts.Below(Mounts.Read(paths), paths.Target);
            return left.IsEmpty ? null : Fault.Of(FaultCodes.DiskMountFailed, "Something is still mounted in the target.", string.Join('\n', left));
        }
        foreach (var mount in mounts)
        {
            var error = Native.RemountReadOnly(mount.Directory);
            if (error != 0)
            {
                return Fault.Of(FaultCodes.DiskMountFailed, "The target could not be made read-only.", $"{mount.Directory}: {Native.Message(error)}");
            }
        }
        return null;
    }
}

/// <summary>Kernel and initrd of the target, their links followed.</summary>
/// <param name="KernelFile">Path in the minimal environment.</param>
/// <param name="Kernel">Path as the deployed system sees it.</param>
sealed record BootFiles(string KernelFile, string Kernel, string? InitrdFile, string? Initrd)
{
    public static (BootFiles? Files, Fault? Fault) Find(BootTarget boot, string target)
    {
        var kernel = Existing(target, boot.Kernel);
        var initrd = boot.Initrd is { Length: > 0 } named ? Existing(target, named) : "";
        if (kernel is null || initrd is null)
        {
            return (null, Fault.Of(FaultCodes.KernelMissing, "The kernel or initrd is not in the unpacked image.", kernel is null ? boot.Kernel : boot.Initrd));
        }
        return initrd.Length == 0
            ? (new BootFiles(kernel, TargetPath.Inside(target, kernel), null, null), null)
            : (new BootFiles(kernel, TargetPath.Inside(target, kernel), initrd, TargetPath.Inside(target, initrd)), null);
    }

    static string? Existing(string target, string path) => TargetPath.Resolve(target, path) is { } real && File.Exists(real) ? real : null;
}
