using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Server.Environments;

namespace Ka.Tests.Server;

/// <summary>What registration says to archives that are no honest file system. It unpacks nothing, so nothing can be written.</summary>
public sealed class UnsafeArchives : IDisposable
{
    /// <summary>Inside the root whatever they try: harmless, and so taken.</summary>
    static readonly string[] Harmless =
    [
        "a file over a link", "attributes for a file behind a link", "a file that becomes a link", "an option as a name", "hard link to a link, then written",
    ];

    readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    Fault? Read(byte[] archive, ImageCompression compression = ImageCompression.None, ArchiveLimits? limits = null)
    {
        var path = _directory["archive"];
        File.WriteAllBytes(path, archive);
        return Registration.ReadArchive(path, compression, CancellationToken.None, limits).Fault;
    }

    [Fact]
    public void Every_archive_that_would_write_outside_is_refused_with_its_reason_and_writes_nothing()
    {
        var outside = Path.Combine(_directory.Path, "outside");
        Directory.CreateDirectory(outside);
        File.WriteAllText(outside + "/kept", "kept");
        var all = EscapeArchives.All(outside).ToArray();
        Assert.True(all.Length >= 60, $"{all.Length} archives");
        Assert.Equal(all.Length, all.Select(a => a.Name).Distinct().Count());
        foreach (var (name, archive) in all)
        {
            var fault = Read(archive);
            if (Harmless.Contains(name))
                Assert.True(fault is null, $"{name}: {fault}");
            else
                Assert.True(fault?.Code == FaultCodes.ArchiveUnsafe || fault?.Code == FaultCodes.ArchiveInvalid, $"{name}: {fault?.ToString() ?? "was taken"}");
        }
        Assert.Equal(["kept"], Directory.EnumerateFileSystemEntries(outside).Select(Path.GetFileName));
        Assert.Equal("kept", File.ReadAllText(outside + "/kept"));
    }

    [Theory]
    [InlineData("absolute file", "is absolute")]
    [InlineData("file above the root", "'..'")]
    [InlineData("written through an absolute link", "written through the symbolic link '/a'")]
    [InlineData("hard link to nothing", "has not unpacked before")]
    [InlineData("hard link to a directory", "hard link to the directory")]
    [InlineData("hard link to an absolute file", "the target of the hard link")]
    [InlineData("a full directory that becomes a link", "replace a directory that is not empty")]
    [InlineData("a directory over a link, then into it", "after a symbolic link of the same name")]
    [InlineData("a file below a file", "no directory")]
    [InlineData("global path", "global header changes 'path'")]
    public void The_reason_is_exact(string name, string reason)
    {
        var fault = Read(EscapeArchives.All("/nowhere").First(a => a.Name == name).Archive);
        Assert.Equal(FaultCodes.ArchiveUnsafe, fault?.Code);
        Assert.Contains(reason, fault!.Message);
    }

    [Fact]
    public void What_an_operating_system_has_is_taken()
    {
        var archive = new TarBuilder().Directory("./").Directory("./dev").Entry("./dev/null", '3', major: 1, minor: 3, mode: 0x1B6).Entry("./dev/sda", '4', major: 8)
            .Directory("./usr").Directory("./usr/bin").Symbolic("./bin", "usr/bin").Entry("./usr/bin/su", '0', "su"u8.ToArray(), mode: 0x9ED)
            .Pax(("SCHILY.xattr.security.capability", "\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0")).File("./usr/bin/ping", "ping")
            .Symbolic("./etc", "/nowhere").Symbolic("./out", "../../../../etc/passwd").Hard("./usr/bin/sudo", "./usr/bin/su").Entry("./fifo", '6').End();
        Assert.Null(Read(archive));
    }

    [Fact]
    public void A_post_install_cannot_leave_its_directory_either() =>
        Assert.Equal(FaultCodes.ArchiveUnsafe, Read(new TarBuilder().Symbolic("a", "/usr").File("a/bin/sh").End())?.Code);
}
