using Ka.Agent.Machine;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Carries out <see cref="InstallKeys"/>: root's authorized_keys of the minimal environment (only these keys) and, when it is mounted, of the target (beside its own).</summary>
static class Keys
{
    const UnixFileMode FileMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    const UnixFileMode DirectoryMode = FileMode | UnixFileMode.UserExecute;
    const string InTarget = "/root/.ssh/authorized_keys";

    public static OrderOutcome Run(InstallKeys order, OrderContext context)
    {
        try
        {
            // In memory nobody but the present operation's people gets in; a system that somebody uses keeps its own keys.
            if (context.Paths.InMinimalEnvironment)
            {
                Write(context.Paths.Home, "/.ssh/authorized_keys", Fstab.WithLines(null, order.AuthorizedKeys));
            }
            var target = context.Paths.Target;
            var mounted = Mounts.Read(context.Paths).Any(m => m.Directory == target);
            return mounted ? OrderOutcome.Found(("files", Write(target, InTarget, Fstab.WithLines(TargetPath.Read(target, InTarget), order.AuthorizedKeys)))) : OrderOutcome.Done;
        }
        catch (IOException e)
        {
            return Fault.Of(FaultCodes.DiskIoError, "The keys could not be written.", e.Message);
        }
    }

    static string Write(string root, string path, string text)
    {
        var directory = TargetPath.Resolve(root, Path.GetDirectoryName(path)!) ?? throw new IOException($"{path}: too many symbolic links");
        Directory.CreateDirectory(directory);
        File.SetUnixFileMode(directory, DirectoryMode);
        return TargetPath.Write(root, path, text, FileMode, force: true);
    }
}
