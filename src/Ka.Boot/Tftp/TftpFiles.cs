using System.Collections.Frozen;
using System.Net;
using System.Text;
using Ka.Core.BootProfiles;

namespace Ka.Boot.Tftp;

/// <summary>
/// What clients may read by TFTP: the first loaders by their exact names, and the files of a node with Secure Boot below its key. As by
/// HTTP, those go to the node's own address only, and anything else looks as if it did not exist.
/// </summary>
/// <remarks>
/// The firmware fetches <c>KEY/shimx64.efi</c>, named by DHCP; shim fetches <c>grubx64.efi</c> beside itself. Debian's signed GRUB
/// for the network then looks for <c>/grub/grub.cfg</c>, which sends it back to where it came from: <c>$cmdpath</c>.
/// </remarks>
public sealed class TftpFiles(BootSettings settings, IBootDirectory directory, FrozenDictionary<string, ReadOnlyMemory<byte>> loaders)
{
    private const string GrubConfiguration = "grub/grub.cfg";
    private static readonly byte[] BackToKey = Encoding.ASCII.GetBytes("configfile \"$cmdpath/grub.cfg\"\n");

    /// <summary>The file, or null and why not. The caller ends the offer's content.</summary>
    public TftpOffer? Find(IPAddress from, string path, out string refusal)
    {
        refusal = "there is no such file";
        if (settings.Loaders.Contains(path))
        {
            return new(TftpContent.Of(loaders[path]));
        }

        path = path.StartsWith('/') ? path[1..] : path;
        if (settings.SecureBoot && path == GrubConfiguration)
        {
            return new(TftpContent.Of(BackToKey));
        }

        var slash = path.IndexOf('/');
        return slash is >= 16 and <= 64 && directory.TryFindByKey(path[..slash], out var node) && node.SecureBoot && node.Address.Equals(from)
            ? OfNode(node, path[(slash + 1)..], ref refusal)
            : null;
    }

    private TftpOffer? OfNode(BootNode node, string name, ref string refusal) => name switch
    {
        BootSettings.Shim or BootSettings.SignedGrub => new(TftpContent.Of(loaders[name]), node),
        "grub.cfg" => Profile(node, ref refusal),
        "kernel" => OfFile(node, Booted(node)?.KernelPath, BootEventKind.KernelFetched, ref refusal),
        "initrd" => OfFile(node, Booted(node)?.InitrdPath, BootEventKind.InitrdFetched, ref refusal),
        _ => null,
    };

    private static BootProfile.FromNetwork? Booted(BootNode node) => node.Profile as BootProfile.FromNetwork;

    private TftpOffer? Profile(BootNode node, ref string refusal)
    {
        if (GrubProfile.TryRender(node.Name, node.Profile, settings.TftpUrlsOf(node), out var text, out var error))
        {
            return new(TftpContent.Of(Encoding.ASCII.GetBytes(text)), node, BootEventKind.ScriptFetched);
        }

        refusal = error;
        return null;
    }

    private static TftpOffer? OfFile(BootNode node, string? path, BootEventKind kind, ref string refusal)
    {
        if (path is null)
        {
            refusal = "its boot profile has no such file";
            return null;
        }

        try
        {
            return new(TftpContent.Open(path), node, kind);
        }
        catch (Exception trouble) when (trouble is IOException or UnauthorizedAccessException)
        {
            refusal = $"cannot read the boot file {path}: {trouble.GetType().Name}";
            return null;
        }
    }
}
