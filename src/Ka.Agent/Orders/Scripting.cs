using System.Diagnostics;
using Ka.Agent.Machine;
using Ka.Core.Disks;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Runs a script of the site or of the environment, with its archive unpacked and its variables set.</summary>
static class Scripting
{
    const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    public static async Task<OrderOutcome> Run(RunScript order, OrderContext context, Report report, CancellationToken cancel) =>
        order.Prepares is { } disks && await Free(disks, context, cancel) is { } fault ? fault : await Run(order.Script, context, report, cancel);

    /// <summary>
    /// Names the disks to what follows and lets go of what an earlier deployment left mounted or assembled on them. Where the running system
    /// lives on a disk of them, only the target is unmounted.
    /// </summary>
    static async Task<Fault?> Free(DisksToPrepare disks, OrderContext context, CancellationToken cancel)
    {
        var paths = context.Paths;
        var (disk, fault) = await TargetDisk.Find(paths, disks.Select, disks.Layout, disks.DeployFileSystem, cancel);
        if (disk is null)
        {
            return fault;
        }
        (context.Disk, context.DeployFileSystem) = (disk, disk.Deploy.FileSystem);
        var mounts = Mounts.Read(paths);
        return await Mounts.Unmount(Mounts.Below(mounts, paths.Target), cancel)
            ?? await BlockStack.Release(paths, disk.Disks.Where(d => mounts.All(m => m.Directory != "/" || !BlockStack.Holds(paths, d.Name, m.Source))).Select(d => d.Name), cancel);
    }

    public static async Task<OrderOutcome> Run(ScriptSpec script, OrderContext context, Report report, CancellationToken cancel)
    {
        report("script", 0);
        var directory = Path.Combine(context.Paths.Scripts, Guid.NewGuid().ToString("n"));
        Directory.CreateDirectory(directory, Private);
        try
        {
            var (program, fault) = await Prepare(script, context, directory, cancel);
            return fault is not null ? fault : await Execute(script, program, context, directory, cancel);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    /// <summary>Fetches archive and script; gives the program to run.</summary>
    static async Task<(string Program, Fault? Fault)> Prepare(ScriptSpec script, OrderContext context, string directory, CancellationToken cancel)
    {
        if (script.ArchiveSha256 is { } archive)
        {
            var file = Path.Combine(context.Paths.Scripts, $"{Path.GetFileName(directory)}.archive");
            try
            {
                if ((await context.Files.Fetch(archive, file, cancel) ?? await Unpack(file, script.ArchiveCompression, context.Paths, directory, cancel)) is { } failed)
                {
                    return ("", failed);
                }
            }
            finally
            {
                File.Delete(file);
            }
        }
        string? program;
        if (script.FileSha256 is { } single)
        {
            program = Path.Combine(directory, "ka-script");
            if (await context.Files.Fetch(single, program, cancel) is { } failed)
            {
                return ("", failed);
            }
        }
        else
        {
            program = script.Command is [{ Length: > 0 } first, ..] ? TargetPath.Resolve(directory, first) : null;
            if (program is null || !File.Exists(program))
            {
                return ("", Fault.Of(FaultCodes.ScriptFailed, $"The archive of '{script.Name}' does not hold the program to run.", script.Command.FirstOrDefault()));
            }
        }
        File.SetUnixFileMode(program, Private);
        return (program, null);
    }

    /// <summary>Unpacks as an image is unpacked: nothing outside the directory can be written.</summary>
    static async Task<Fault?> Unpack(string file, ImageCompression compression, AgentPaths paths, string directory, CancellationToken cancel)
    {
        Unpacking unpacking;
        try
        {
            unpacking = Unpacking.Start(compression, paths, directory);
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return Fault.Of(FaultCodes.ScriptFailed, "A program that unpacks could not be started.", e.Message);
        }
        using (unpacking)
        {
            await using (cancel.Register(unpacking.Kill))
            {
                try
                {
                    await using var source = File.OpenRead(file);
                    await source.CopyToAsync(unpacking.Input, CancellationToken.None);
                }
                catch (IOException)
                {
                    // a program ended early; its status tells
                }
            }
            var fault = await unpacking.Finish(complete: true, cancel);
            return fault?.Code == FaultCodes.ImageExtractFailed ? Fault.Of(FaultCodes.ScriptFailed, "The archive of a script could not be unpacked.", $"{fault.Message} {fault.Evidence}") : fault;
        }
    }

    static async Task<OrderOutcome> Execute(ScriptSpec script, string program, OrderContext context, string directory, CancellationToken cancel)
    {
        // With FileSha256 the first word of the command is empty and stands for the file.
        var arguments = script.Command.IsDefaultOrEmpty ? [] : script.Command.Skip(1);
        // setsid makes a process group of its own, so that everything the script starts can be ended with it.
        var enclosed = Enclosure.WithoutSecrets(context.Paths, program, arguments);
        var start = Tool.Start("setsid", [enclosed.FileName, .. enclosed.ArgumentList]);
        start.Environment.Clear();
        foreach (var (name, value) in enclosed.Environment)
        {
            start.Environment[name] = value;
        }
        start.WorkingDirectory = directory;
        foreach (var (name, value) in Variables(script, context, directory))
        {
            start.Environment[name] = value;
        }
        var limit = TimeSpan.FromSeconds(Math.Clamp(script.TimeoutSeconds, 1, 24 * 3600));
        using var late = new CancellationTokenSource(limit);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancel);
        try
        {
            var ran = await Tool.Run(start, null, ownGroup: true, both.Token);
            var fault = ran.ExitCode == 0 ? null : Fault.Of(FaultCodes.ScriptFailed, $"The script '{script.Name}' ended with status {ran.ExitCode}.", $"{ran.Output.Trim()}\n{ran.Errors.Trim()}".Trim());
            return new OrderOutcome(fault, Tool: ran);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return Fault.Of(FaultCodes.ScriptTimeout, $"The script '{script.Name}' did not end within {limit.TotalSeconds:0} s and was stopped.");
        }
    }

    /// <summary>The server's variables and those that only the node knows: disk, partitions, directories.</summary>
    internal static Dictionary<string, string> Variables(ScriptSpec script, OrderContext context, string directory)
    {
        var variables = new Dictionary<string, string>(script.Variables, StringComparer.Ordinal)
        {
            ["KADEPLOY_ENV_EXTRACTION_DIR"] = context.Paths.Target,
            ["KADEPLOY_PREPOST_EXTRACTION_DIR"] = directory,
            ["KADEPLOY_TMP_DIR"] = Path.GetTempPath().TrimEnd('/'),
        };
        if (context.Disk is not { } disk)
        {
            return variables;
        }
        var deploy = disk.Deploy;
        variables["KADEPLOY_BLOCK_DEVICE"] = disk.Device;
        variables["KADEPLOY_DEPLOY_PART"] = deploy.Device;
        variables["KADEPLOY_DEPLOY_PART_NUM"] = deploy.Number.ToString();
        variables["KADEPLOY_SWAP_PART_NUM"] = Number(p => p.FileSystem == FileSystemKind.Swap);
        variables["KADEPLOY_PROD_PART_NUM"] = Number(p => p.Spec.Name == "prod");
        variables["KADEPLOY_TMP_PART_NUM"] = Number(p => p.Spec.Name == "tmp");
        variables["KADEPLOY_PART_TYPE"] = SfdiskScript.TypeCode(PartitionTableKind.Mbr, deploy.Spec.Type);
        variables["KADEPLOY_FS_TYPE"] = FsType(context.DeployFileSystem == FileSystemKind.None ? deploy.FileSystem : context.DeployFileSystem);
        variables["KADEPLOY_FS_TYPE_TMP"] = disk.Partitions.FirstOrDefault(p => p.Spec.Name == "tmp") is { } tmp ? FsType(tmp.FileSystem) : "";
        return variables;

        string Number(Func<TargetPartition, bool> which) => disk.Partitions.FirstOrDefault(which)?.Number.ToString() ?? "";
    }

    static string FsType(FileSystemKind kind) => kind switch
    {
        FileSystemKind.None => "",
        FileSystemKind.Ext4 => "ext4",
        FileSystemKind.Xfs => "xfs",
        FileSystemKind.Btrfs => "btrfs",
        FileSystemKind.Vfat => "vfat",
        FileSystemKind.Swap => "swap",
    };
}
