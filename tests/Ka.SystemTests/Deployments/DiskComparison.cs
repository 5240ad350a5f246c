using System.Diagnostics;

namespace Ka.SystemTests.Deployments;

/// <summary>Compares a partition of a machine that is off with the archive it was made from, tree against tree.</summary>
static class DiskComparison
{
    /// <summary>
    /// What differs for a reason: identity and keys that the deployment writes, the bootloader, and what the booted system itself leaves.
    /// </summary>
    static readonly string[] Expected =
    [
        "etc/hostname", "etc/hosts", "etc/fstab", "etc/machine-id", "etc/ssh", "etc/ssh/ssh_host_*", "etc/resolv.conf", "etc", "root", "root/.ssh", "root/.ssh/authorized_keys",
        "boot", "boot/grub", "boot/grub/*", "boot/efi", "boot/efi/*", "lost+found", "var/log/acpid.log", "",
    ];

    public static async Task HoldsAsync(string disk, int partition, string archive)
    {
        var work = Directory.CreateTempSubdirectory("ka-compare-").FullName;
        var (packed, found) = (Path.Combine(work, "packed"), Path.Combine(work, "disk"));
        Directory.CreateDirectory(packed);
        Directory.CreateDirectory(found);
        try
        {
            await RealLab.MustAsync("tar", ["--zstd", "-x", "-p", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "--sparse", "-C", packed, "-f", archive]);
            var (start, size) = await PlaceAsync(disk, partition);
            // Writable, so that the file system's journal is replayed as the next boot would do it.
            await RealLab.MustAsync("mount", ["-o", $"noatime,loop,offset={start},sizelimit={size}", disk, found]);
            try
            {
                var (left, right) = (await ListAsync(packed), await ListAsync(found));
                var differences = left.Keys.Union(right.Keys).Where(p => left.GetValueOrDefault(p) != right.GetValueOrDefault(p) && !IsExpected(p)).Order(StringComparer.Ordinal)
                    .Select(p => $"{p}\n   packed {left.GetValueOrDefault(p) ?? "-"}\n   disk   {right.GetValueOrDefault(p) ?? "-"}").ToArray();
                Assert.True(left.Count > 300, $"the archive has only {left.Count} entries");
                Assert.True(differences.Length == 0, $"{differences.Length} differences:\n{string.Join('\n', differences.Take(40))}");
                await SparseStaysSparseAsync(packed, found);
            }
            finally
            {
                await RealLab.MustAsync("umount", [found]);
            }
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    static bool IsExpected(string path) => Expected.Any(e => e.EndsWith('*') ? path.StartsWith(e[..^1], StringComparison.Ordinal) : path == e);

    static async Task<(long Start, long Size)> PlaceAsync(string disk, int partition)
    {
        var dump = await RealLab.MustAsync("sfdisk", ["-d", disk]);
        var line = dump.Output.Split('\n').First(l => l.StartsWith($"{disk}{partition} ", StringComparison.Ordinal));
        long Number(string key) => long.Parse(line[(line.IndexOf(key, StringComparison.Ordinal) + key.Length)..].TrimStart(' ', '=').Split(',')[0].Trim());
        return (Number("start") * 512, Number("size") * 512);
    }

    /// <summary>For every path: type, mode, owner, size, link target, link partners, content hash and extended attributes.</summary>
    static async Task<Dictionary<string, string>> ListAsync(string root)
    {
        var found = await RealLab.MustAsync("find", [root, "-printf", "%P\\t%y\\t%m\\t%U\\t%G\\t%n\\t%l\\t%i\\t%s\\n"]);
        var rows = found.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split('\t')).ToArray();
        var partners = rows.Where(r => r[1] == "f").GroupBy(r => r[7]).ToDictionary(g => g.Key, g => string.Join(' ', g.Select(r => r[0]).Order(StringComparer.Ordinal)));
        var hashes = await LinesAsync("find", [root, "-type", "f", "-exec", "sha256sum", "--", "{}", "+"], l => (l[66..], l[..64]));
        var attributes = await AttributesAsync(root);
        return rows.ToDictionary(
            r => r[0],
            r =>
            {
                var path = Path.Combine(root, r[0]);
                var file = r[1] == "f";
                return $"{r[1]} {r[2]} {r[3]}:{r[4]} links={(file ? r[5] : "")} [{(file ? partners[r[7]] : "")}] -> {r[6]} size={(file ? r[8] : "")} {(file ? hashes[path] : "")} {attributes.GetValueOrDefault(path)}";
            });
    }

    static async Task<Dictionary<string, string>> LinesAsync(string program, string[] arguments, Func<string, (string, string)> split)
    {
        var ended = await RealLab.MustAsync(program, arguments);
        return ended.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(split).ToDictionary(p => p.Item1, p => p.Item2);
    }

    static async Task<Dictionary<string, string>> AttributesAsync(string root)
    {
        var ended = await RealLab.MustAsync("getfattr", ["-R", "-P", "-h", "-d", "-m", "-", "-e", "hex", "--absolute-names", root]);
        return ended.Output.Split("\n\n", StringSplitOptions.RemoveEmptyEntries).Select(b => b.Split('\n', StringSplitOptions.RemoveEmptyEntries))
            .ToDictionary(b => b[0]["# file: ".Length..], b => string.Join(' ', b.Skip(1).Order(StringComparer.Ordinal)));
    }

    static async Task SparseStaysSparseAsync(string packed, string found)
    {
        var sparse = (await RealLab.MustAsync("find", [packed, "-type", "f", "-size", "+1024k", "-printf", "%P\\t%s\\t%b\\n"])).Output
            .Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split('\t')).Where(r => long.Parse(r[2]) * 512 < long.Parse(r[1]) / 2).Select(r => r[0]).ToArray();
        Assert.True(sparse.Length > 0, "the archive has no sparse file to try");
        foreach (var path in sparse)
        {
            var seen = (await RealLab.MustAsync("stat", ["-c", "%s %b", Path.Combine(found, path)])).Output.Trim().Split(' ');
            Assert.True(long.Parse(seen[1]) * 512 < long.Parse(seen[0]) / 2, $"{path} takes {seen[1]} blocks on the disk");
        }
    }
}
