using System.Collections.Immutable;
using System.Diagnostics;
using System.Net;
using System.Text;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Protocol.Manifests;
using Ka.Server.Environments;

namespace Ka.Tests.Server;

/// <summary>What an archive says of its files, as it is kept for the check of disks.</summary>
public sealed class Manifests : IDisposable
{
    static readonly string Image = new('a', 64);

    readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    FileManifest Of(byte[] archive, ImageCompression compression = ImageCompression.None)
    {
        var path = _directory["archive"];
        File.WriteAllBytes(path, archive);
        var reading = Registration.ReadArchive(path, compression, CancellationToken.None);
        Assert.True(reading.Fault is null, $"{reading.Fault} {reading.Fault?.Evidence}");
        return reading.Tree.ToManifest(Image);
    }

    static ManifestEntry At(FileManifest manifest, string path) => manifest.Entries.Single(e => e.Path == path);

    [Fact]
    public void Every_kind_of_file_has_all_that_can_be_checked()
    {
        var manifest = Of(new TarBuilder().Directory("./", 0x1ED)
            .Entry("./f", '0', "hello"u8.ToArray(), mode: 0x9ED, uid: 1234, gid: 5678)
            .Symbolic("./l", "/f").Hard("./h", "./f").Entry("./c", '3', mode: 0x1B6, major: 1, minor: 3).Entry("./b", '4', major: 8, minor: 17).Entry("./p", '6')
            .Pax(("SCHILY.xattr.user.b", "\0\xFF"), ("SCHILY.xattr.user.a%3Db", "x"), ("uid", "70000000"), ("SCHILY.acl.access", "user::rw-\nuser:4321:r--\ngroup::r--\nmask::r--\nother::r--\n"))
            .File("./x", "").End());
        Assert.Equal(new ManifestEntry("/", FileType.Directory, 0x1ED, 0, 0), manifest.Entries[0]);
        var file = new ManifestEntry("/f", FileType.File, 0x9ED, 1234, 5678) { Bytes = 5, Sha256 = RunningServer.Digest("hello"u8.ToArray()) };
        Assert.Equal(file, At(manifest, "/f"));
        Assert.Equal(file with { Path = "/h", SameAs = "/f" }, At(manifest, "/h"));
        Assert.Equal("/f", At(manifest, "/l").Link);
        Assert.Equal((1u, 3u), (At(manifest, "/c").Major, At(manifest, "/c").Minor));
        Assert.Equal((FileType.BlockDevice, 8u, 17u), (At(manifest, "/b").Type, At(manifest, "/b").Major, At(manifest, "/b").Minor));
        Assert.Equal(FileType.Fifo, At(manifest, "/p").Type);
        var attributes = At(manifest, "/x").Attributes;
        Assert.Equal(
            [
                new("system.posix_acl_access", "0200000001000600ffffffff02000400e110000004000400ffffffff10000400ffffffff20000400ffffffff"),
                new("user.a=b", "78"), new FileAttribute("user.b", "00ff"),
            ],
            attributes);
        Assert.Equal(70_000_000u, At(manifest, "/x").Uid);
    }

    [Fact]
    public void The_last_entry_of_a_name_wins_and_a_hard_link_keeps_what_it_was_made_of()
    {
        var manifest = Of(new TarBuilder().File("a", "old").Hard("b", "a").File("a", "new").Directory("d", 0x1C0).Directory("d", 0x1ED).End());
        Assert.Equal(RunningServer.Digest("new"u8.ToArray()), At(manifest, "/a").Sha256);
        Assert.Equal((RunningServer.Digest("old"u8.ToArray()), null), (At(manifest, "/b").Sha256, At(manifest, "/b").SameAs));
        Assert.Equal(0x1ED, At(manifest, "/d").Mode);
    }

    [Fact]
    public void A_directory_that_is_only_implied_is_there_without_a_mode() =>
        Assert.Equal(new ManifestEntry("/a", FileType.Directory, null, 0, 0), At(Of(new TarBuilder().File("a/b/c").End()), "/a"));

    [Fact]
    public void A_sparse_file_has_its_logical_content_in_every_form()
    {
        var content = new byte[3000];
        "1234"u8.CopyTo(content.AsSpan(1000));
        var expected = (3000L, RunningServer.Digest(content));
        var map = new byte[512];
        "1\n1000\n4\n"u8.CopyTo(map);
        byte[][] archives =
        [
            new TarBuilder().Pax(("GNU.sparse.size", "3000"), ("GNU.sparse.numblocks", "1"), ("GNU.sparse.offset", "1000"), ("GNU.sparse.numbytes", "4")).File("f", "1234").End(),
            new TarBuilder().Pax(("GNU.sparse.name", "f"), ("GNU.sparse.size", "3000"), ("GNU.sparse.map", "1000,4")).File("GNUSparseFile.0/f", "1234").End(),
            new TarBuilder().Pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "f"), ("GNU.sparse.realsize", "3000"))
                .Entry("GNUSparseFile.0/f", '0', [.. map, .. "1234"u8]).End(),
            new TarBuilder().Entry("f", 'S', "1234"u8.ToArray(), change: h =>
            {
                TarBuilder.Octal(h, 386, 11, 1000);
                TarBuilder.Octal(h, 398, 11, 4);
                TarBuilder.Octal(h, 483, 11, 3000);
            }).End(),
        ];
        foreach (var archive in archives)
            Assert.Equal(expected, (At(Of(archive), "/f").Bytes, At(Of(archive), "/f").Sha256!));
    }

    [Theory]
    [InlineData("2000,4")]
    [InlineData("0,2,1,2")]
    [InlineData("0,5")]
    public void A_map_that_does_not_fit_its_file_is_refused(string map)
    {
        File.WriteAllBytes(_directory["a"], new TarBuilder().Pax(("GNU.sparse.size", "2001"), ("GNU.sparse.map", map)).File("f", "1234").End());
        Assert.Equal(FaultCodes.ArchiveInvalid, Registration.ReadArchive(_directory["a"], ImageCompression.None, CancellationToken.None).Fault?.Code);
    }

    [Theory]
    [InlineData(ImageCompression.Gzip, "gzip")]
    [InlineData(ImageCompression.Bzip2, "bzip2")]
    [InlineData(ImageCompression.Xz, "xz")]
    [InlineData(ImageCompression.Zstd, "zstd")]
    [InlineData(ImageCompression.Lz4, "lz4")]
    public void An_image_that_was_packed_in_pieces_is_read_whole(ImageCompression compression, string program)
    {
        var tar = new TarBuilder().File("first", new string('1', 700)).File("second", new string('2', 900)).End();
        var packed = new MemoryStream();
        foreach (var piece in (byte[][])[tar[..800], tar[800..1536], tar[1536..]])
        {
            File.WriteAllBytes(_directory["piece"], piece);
            using var process = Process.Start(new ProcessStartInfo(program, ["-c", _directory["piece"]]) { RedirectStandardOutput = true })!;
            process.StandardOutput.BaseStream.CopyTo(packed);
            process.WaitForExit();
            Assert.Equal(0, process.ExitCode);
        }
        var manifest = Of(packed.ToArray(), compression);
        Assert.Equal(RunningServer.Digest(Encoding.ASCII.GetBytes(new string('2', 900))), At(manifest, "/second").Sha256);
    }

    [Fact]
    public void What_is_written_is_what_is_read()
    {
        var odd = ByteText.Decode([(byte)'/', 9, 10, (byte)'\\', (byte)'1', (byte)'0', (byte)'1', 0xC3, 0xA9, 0xFF, 0xC0, 0x7F]);
        var manifest = new FileManifest(Image,
        [
            new ManifestEntry("/", FileType.Directory, null, 0, 0),
            new ManifestEntry(odd, FileType.File, 0x9ED, 4294967294, 7) { Bytes = 1L << 50, Sha256 = new string('b', 64), Attributes = [new("security.capability", "0001"), new("user. \n", "")] },
            new ManifestEntry("/h", FileType.File, 0x9ED, 4294967294, 7) { Bytes = 1L << 50, Sha256 = new string('b', 64), Attributes = [new("security.capability", "0001"), new("user. \n", "")], SameAs = odd },
            new ManifestEntry("/l", FileType.SymbolicLink, 0x1FF, 0, 0) { Link = odd },
            new ManifestEntry("/c", FileType.CharacterDevice, 0x1B6, 0, 0) { Major = 4095, Minor = 1048575 },
            new ManifestEntry("/b", FileType.BlockDevice, 0x1B6, 0, 0) { Major = 8 },
            new ManifestEntry("/p", FileType.Fifo, 0, 0, 0),
        ]);
        var packed = new MemoryStream();
        ManifestText.Write(packed, manifest);
        packed.Position = 0;
        var (read, fault) = ManifestText.Read(packed, CancellationToken.None);
        Assert.Null(fault);
        Assert.Equal(manifest.ImageSha256, read!.ImageSha256);
        Assert.Equal(manifest.Entries.Select(Text), read.Entries.Select(Text));
        for (var length = 1; length < packed.Length - 12; length += 7) // without the sum at its end .NET reads on
            Assert.Equal(FaultCodes.ManifestInvalid, ManifestText.Read(new MemoryStream(packed.ToArray()[..length]), CancellationToken.None).Fault?.Code);

        static string Text(ManifestEntry e) => $"{e with { Attributes = [] }} {string.Join(' ', e.Attributes)}";
    }

    [Fact]
    public void Bytes_that_are_no_text_come_back_and_are_shown_harmless()
    {
        var bytes = Enumerable.Range(0, 256).Select(i => (byte)i).Concat("é\u202E😀"u8.ToArray()).Concat(new byte[] { 0xF0, 0x9F }).ToArray();
        Assert.Equal(bytes, ByteText.Encode(ByteText.Decode(bytes)));
        Assert.Equal("a\\x1b[31m\\u202eé😀\\xff", ByteText.Printable(ByteText.Decode([.. "a\x1b[31m\u202Eé😀"u8, 0xFF])));
    }
}

/// <summary>The manifest in the server: made at registration, fetched, removed.</summary>
public sealed class ManifestsOfTheServer(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_registered_environment_has_a_manifest_bound_to_its_image()
    {
        var reply = await server.Http.GetAsync("environments/debian12/1/files", Cancel);
        Assert.Equal(HttpStatusCode.OK, reply.StatusCode);
        var (manifest, fault) = ManifestText.Read(await reply.Content.ReadAsStreamAsync(Cancel), Cancel);
        Assert.Null(fault);
        Assert.Equal(RunningServer.Digest(RunningServer.Image()), manifest!.ImageSha256);
        Assert.Equal(RunningServer.Digest(new byte[2 << 20]), manifest.Entries.Single(e => e.Path == "/boot/vmlinuz-6.1.0-10-amd64").Sha256);
        Assert.Equal(HttpStatusCode.NotFound, (await server.Http.GetAsync("environments/debian12/9/files", Cancel)).StatusCode);
    }

    [Fact]
    public async Task Removing_an_environment_removes_all_that_was_kept_with_its_image()
    {
        var before = server.Stored();
        var image = new TarBuilder().File("vmlinuz", "another kernel").End();
        await server.SendAsync(image);
        var text = RunningServer.Description.Replace("debian12\n", "other\n", StringComparison.Ordinal).Replace("/boot/vmlinuz", "/vmlinuz", StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.Created, (await server.ApplyAsync(text, image)).StatusCode);
        Assert.Equal(before.Length + 4, server.Stored().Length); // image, chunks, manifest and its name
        Assert.Equal(HttpStatusCode.NoContent, (await server.Http.DeleteAsync("environments/other/1", Cancel)).StatusCode);
        Assert.Equal(before, server.Stored());
    }

    [Fact]
    public async Task An_image_from_before_there_were_manifests_gets_one_when_it_is_asked_for()
    {
        var image = new TarBuilder().File("vmlinuz", "an old kernel").End();
        await server.SendAsync(image);
        var text = RunningServer.Description.Replace("debian12\n", "old\n", StringComparison.Ordinal).Replace("/boot/vmlinuz", "/vmlinuz", StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.Created, (await server.ApplyAsync(text, image)).StatusCode);
        var beside = server.Stored().Single(f => f.EndsWith(RunningServer.Digest(image) + ".files", StringComparison.Ordinal));
        var kept = await File.ReadAllTextAsync(beside, Cancel);
        File.Delete(beside);
        Assert.Equal(HttpStatusCode.OK, (await server.Http.GetAsync("environments/old/1/files", Cancel)).StatusCode);
        Assert.Equal(kept, await File.ReadAllTextAsync(beside, Cancel)); // equal images give equal manifests
    }

    [Theory]
    [InlineData(null, true)]
    [InlineData("full", true)]
    [InlineData("none", false)]
    public async Task The_plan_has_the_check_right_after_the_image(string? verify, bool has)
    {
        var reply = await server.PostAsync("deployments", $$"""{"environment":"debian12","nodes":"gris-5","authorizedKeys":[],"dryRun":true{{(verify is null ? "" : $",\"verify\":\"{verify}\"")}}}""");
        var text = await reply.Content.ReadAsStringAsync(Cancel);
        Assert.Equal(has, System.Text.RegularExpressions.Regex.IsMatch(text, "\"send_image\"[^{]*\\{[^}]*\"verify\"[^{]*\\{[^}]*\"identity\""));
        Assert.True(has || !text.Contains("\"verify\"", StringComparison.Ordinal), text);
    }

    [Fact]
    public async Task Another_way_to_verify_is_refused()
    {
        var reply = await server.PostAsync("deployments", """{"environment":"debian12","nodes":"gris-5","authorizedKeys":[],"dryRun":true,"verify":"half"}""");
        Assert.Contains("none, sample or full", (await RunningServer.ProblemOf(reply)).Detail);
    }
}
