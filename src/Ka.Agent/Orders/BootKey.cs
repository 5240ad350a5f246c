using System.Collections.Immutable;
using System.Text;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>
/// Hands the key of an encrypted root to one boot: a small archive behind the initrd that is loaded for kexec, with the key and a
/// crypttab that names it. The kernel unpacks archives in order, the later over the earlier (Documentation/driver-api/early-userspace),
/// and initramfs-tools reads <c>/cryptroot/crypttab</c>. All of it is in memory and gone with that boot's initramfs.
/// </summary>
static class BootKey
{
    const string KeyPath = "/cryptroot/keyfiles/ka.key";
    const UnixFileMode Secret = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <param name="to">A file in memory; it is made with mode 0600.</param>
    public static void Append(string initrd, string to, IEnumerable<CrypttabEntry> encrypted, DiskKey key)
    {
        File.Delete(to);
        using var file = new FileStream(to, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = Secret });
        using (var source = File.OpenRead(initrd))
        {
            source.CopyTo(file);
        }
        file.Write(new byte[(4 - file.Position % 4) % 4]); // an archive begins at a multiple of four
        file.Write(Archive(
        [
            ("cryptroot", 0x41C0, null),
            ("cryptroot/keyfiles", 0x41C0, null),
            (KeyPath[1..], 0x8180, Encoding.ASCII.GetBytes(key.Value)),
            ("cryptroot/crypttab", 0x81A4, Encoding.ASCII.GetBytes(string.Concat(encrypted.Select(e => e.Line(KeyPath))))),
        ]));
    }

    /// <summary>A cpio archive in the form "newc" (cpio(5)), owned by root.</summary>
    /// <param name="entries">Path, mode with the file's type, content of a file.</param>
    internal static byte[] Archive(ImmutableArray<(string Path, int Mode, byte[]? Content)> entries)
    {
        using var archive = new MemoryStream();
        var inode = 1;
        foreach (var (path, mode, content) in entries.Add(("TRAILER!!!", 0, null)))
        {
            // magic, inode, mode, uid, gid, links, mtime, size, device (2), special device (2), length of the name, check
            int[] fields = [inode++, mode, 0, 0, 1, 0, content?.Length ?? 0, 0, 0, 0, 0, path.Length + 1, 0];
            archive.Write(Encoding.ASCII.GetBytes("070701" + string.Concat(fields.Select(f => f.ToString("X8"))) + path + "\0"));
            Pad(archive);
            archive.Write(content ?? []);
            Pad(archive);
        }
        return archive.ToArray();
    }

    static void Pad(MemoryStream archive) => archive.Write(new byte[(4 - archive.Position % 4) % 4]);
}
