using Ka.Agent.Machine;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Carries out <see cref="InstallKeys"/>: root's authorized_keys of the minimal environment and, when it is mounted, of the target.</summary>
static class Keys
{
    const UnixFileMode FileMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    const UnixFileMode DirectoryMode = FileMode | UnixFileMode.UserExecute;
    const string InTarget = "/root/.ssh/authorized_keys";

    public static OrderOutcome Run(InstallKeys order, OrderContext context)
    {
        try
        {
            Add(context.Paths.Home, "/.ssh/authorized_keys", order);
            var target = context.Paths.Target;
            var mounted = Mounts.Read(context.Paths).Any(m => m.Directory == target);
            return mounted ? OrderOutcome.Found(("files", Add(target, InTarget, order))) : OrderOutcome.Done;
        }
        catch (IOException e)
        {
            return Fault.Of(FaultCodes.DiskIoError, "The keys could not be written.", e.Message);
        }
    }

    static string Add(string root, string path, InstallKeys order)
    {
        var directory = TargetPath.Resolve(root, Path.GetDirectoryName(path)!) ?? throw new IOException($"{path}: too many symbolic links");
        Directory.CreateDirectory(directory);
        File.SetUnixFileMode(directory, DirectoryMode);
        var text = Fstab.WithLines(TargetPath.Read(root, path), order.AuthorizedKeys);
        return TargetPath.Write(root, path, text, FileMode, force: true);
    }
}
