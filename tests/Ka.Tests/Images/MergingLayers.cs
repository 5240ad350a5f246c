using System.Collections.Immutable;
using System.Formats.Tar;
using System.Security.Cryptography;
using System.Text;
using Ka.Cli;
using Ka.Cli.Commands;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Server.Environments;

namespace Ka.Tests.Images;

public sealed class MergingLayers : IDisposable
{
    readonly TemporaryDirectory _files = new();

    public void Dispose() => _files.Dispose();

    /// <summary>Entries as text: <c>dir/</c>, <c>file=content</c>, <c>link->target</c>, <c>hard=>target</c>.</summary>
    static byte[] Layer(params string[] entries)
    {
        var archive = new MemoryStream();
        using (var writer = new TarWriter(archive, TarEntryFormat.Pax, leaveOpen: true))
            foreach (var text in entries)
                writer.WriteEntry(Entry(text));
        return archive.ToArray();
    }

    static PaxTarEntry Entry(string text)
    {
        if (text.EndsWith('/'))
            return new PaxTarEntry(TarEntryType.Directory, text);
        if (text.Split("=>") is [var hard, var target])
            return new PaxTarEntry(TarEntryType.HardLink, hard) { LinkName = target };
        if (text.Split("->") is [var link, var points])
            return new PaxTarEntry(TarEntryType.SymbolicLink, link) { LinkName = points };
        var (name, content) = text.Split('=') is [var n, var c] ? (n, c) : (text, "");
        return new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(Encoding.UTF8.GetBytes(content)), Mode = (UnixFileMode)0b100_111_101_101 };
    }

    (Fault? Fault, string Seen) Merge(params byte[][] layers)
    {
        var given = layers.Select((bytes, i) =>
        {
            var path = Path.Combine(_files.Path, $"layer{i}");
            File.WriteAllBytes(path, bytes);
            return new ImageLayer(path, ImageCompression.None, Convert.ToHexStringLower(SHA256.HashData(bytes)));
        });
        var output = new MemoryStream();
        var fault = new LayerMerge([.. given]).Write(output, CancellationToken.None);
        if (fault is not null)
            return (fault, "");
        Assert.Null(TarWalk.Walk(new MemoryStream(output.ToArray()), output.Length, ArchiveLimits.Default, _ => null, CancellationToken.None)); // whole, with its end
        output.Position = 0;
        var seen = new List<string>();
        using var reader = new TarReader(output);
        while (reader.GetNextEntry() is { } entry)
        {
            using var content = entry.DataStream is null ? null : new StreamReader(entry.DataStream);
            seen.Add(entry.Name + entry.EntryType switch { TarEntryType.Directory => "", TarEntryType.HardLink => "=>" + entry.LinkName, TarEntryType.SymbolicLink => "->" + entry.LinkName, _ => "=" + content?.ReadToEnd() });
        }
        return (null, string.Join(' ', seen));
    }

    [Fact]
    public void Later_layers_replace_remove_and_add() => Assert.Equal(
        "etc/ etc/kept=1 etc/ etc/changed=2 etc/new=2",
        Merge(Layer("etc/", "etc/kept=1", "etc/changed=1", "etc/gone=1"), Layer("etc/", "etc/changed=2", "etc/new=2", "etc/.wh.gone")).Seen);

    [Fact]
    public void A_removed_directory_goes_with_everything_in_it_and_may_come_back_empty() => Assert.Equal(
        "d/ d/new=3",
        Merge(Layer("d/", "d/a=1", "d/e/", "d/e/f=1"), Layer(".wh.d"), Layer("d/", "d/new=3")).Seen);

    [Fact]
    public void An_opaque_directory_hides_what_was_below_it_and_keeps_what_its_own_layer_has() => Assert.Equal(
        "d/ x=1 d/ d/own=2",
        Merge(Layer("d/", "d/a=1", "d/sub/", "d/sub/b=1", "x=1"), Layer("d/", "d/own=2", "d/.wh..wh..opq")).Seen);

    [Fact]
    public void A_removal_concerns_the_layers_below_only() => Assert.Equal("a=3", Merge(Layer("a=1"), Layer(".wh.a"), Layer("a=3")).Seen);

    [Fact]
    public void A_directory_that_became_a_file_or_link_takes_its_content_along() => Assert.Equal(
        "usr/ usr/lib/ lib->usr/lib",
        Merge(Layer("lib/", "lib/old=1", "usr/", "usr/lib/"), Layer("lib->usr/lib")) is var merged && merged.Seen.Contains("lib/old", StringComparison.Ordinal) ? "lib/old stayed" : merged.Seen);

    [Fact]
    public void A_file_that_became_a_directory_is_gone() => Assert.Equal("a/ a/b=2", Merge(Layer("a=1"), Layer("a/", "a/b=2")).Seen);

    [Fact]
    public void Content_that_another_name_shares_stays_with_that_name()
    {
        Assert.Equal("a=1 b=>a a=2", Merge(Layer("a=1", "b=>a"), Layer("a=2")).Seen);
        var (fault, _) = Merge(Layer("a=1", "b=>a"), Layer(".wh.a"));
        Assert.Equal(FaultCodes.ArchiveInvalid, fault?.Code);
        Assert.Contains("/b shares", fault!.Message);
        Assert.Equal("c=1", Merge(Layer("a=1", "b=>a", "c=1"), Layer(".wh.a", ".wh.b")).Seen);
    }

    [Fact]
    public void Modes_and_long_names_come_through_byte_for_byte()
    {
        var name = string.Join('/', Enumerable.Repeat("a-directory-with-a-long-name", 8)) + "/file";
        var layer = Layer("x=0", name + "=content");
        Assert.Equal($"{name}=content", Merge(layer, Layer(".wh.x")).Seen);
    }

    [Fact]
    public void A_layer_whose_content_is_not_what_the_configuration_says_is_refused()
    {
        var path = Path.Combine(_files.Path, "layer");
        File.WriteAllBytes(path, Layer("a=1"));
        var fault = new LayerMerge([new ImageLayer(path, ImageCompression.None, new string('0', 64))]).Write(Stream.Null, CancellationToken.None);
        Assert.Equal(FaultCodes.ArchiveDigest, fault?.Code);
    }

    [Fact]
    public void Names_that_leave_the_root_cut_layers_and_too_many_are_refused()
    {
        Assert.NotNull(Merge(Layer("../etc/passwd=1")).Fault);
        Assert.NotNull(Merge(Layer("a=1")[..1024]).Fault);
        Assert.NotNull(Merge([.. Enumerable.Repeat(Layer("a=1"), LayerMerge.LayerLimit + 1)]).Fault);
    }

    [Fact]
    public void From_the_environment_that_boots_comes_what_containers_lack_and_nothing_else()
    {
        var boot = new BootSpec("/vmlinuz", "/initrd.img", []);
        string[] taken = [.. new[] { "/", "/boot", "/boot/vmlinuz-6", "/vmlinuz", "/initrd.img", "/usr/lib/modules/6/kernel/a.ko", "/usr/bin/sh", "/etc", "/etc/passwd", "/boot/grub/grub.cfg", "/usr/lib/x.so" }
            .Where(p => ContainerImport.IsForBoot(p, boot))];
        Assert.Equal(["/", "/boot", "/boot/vmlinuz-6", "/vmlinuz", "/initrd.img", "/usr/lib/modules/6/kernel/a.ko"], taken);
    }

    [Theory]
    [InlineData("oci:/images/a", "/images/a", null)]
    [InlineData("oci:/images/a:v1", "/images/a", "v1")]
    [InlineData("oci-layout:a:b/c", "a:b/c", null)]
    [InlineData("oci:/", "/", null)]
    public void A_source_on_this_machine_is_a_directory_and_perhaps_a_tag(string source, string directory, string? tag) =>
        Assert.Equal((directory, tag), ImportCommand.Local(source));

    [Theory]
    [InlineData("docker-archive:a.tar")]
    [InlineData("oci://registry/a")]
    [InlineData("a.tar")]
    public void Other_sources_are_fetched_first(string source) => Assert.Null(ImportCommand.Local(source));

    /// <summary>A layout with one image; each text may be changed before its digest is taken.</summary>
    string Layout(Func<string, string>? manifest = null, Func<string, string>? configuration = null, Func<string, string>? index = null)
    {
        var directory = Path.Combine(_files.Path, Path.GetRandomFileName());
        Directory.CreateDirectory(Path.Combine(directory, "blobs", "sha256"));
        string Blob(string text)
        {
            var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
            File.WriteAllText(Path.Combine(directory, "blobs", "sha256", hash), text);
            return hash;
        }
        string Same(string text) => text;
        var diff = new string('d', 64);
        var config = Blob((configuration ?? Same)($$$"""{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":["sha256:{{{diff}}}"]}}"""));
        var made = Blob((manifest ?? Same)($$$"""{"config":{"digest":"sha256:{{{config}}}"},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:{{{new string('e', 64)}}}"}]}"""));
        File.WriteAllText(Path.Combine(directory, "index.json"), (index ?? Same)($$$"""{"manifests":[{"digest":"sha256:{{{made}}}","annotations":{"org.opencontainers.image.ref.name":"v1"}}]}"""));
        File.WriteAllText(Path.Combine(directory, "oci-layout"), "{}");
        return directory;
    }

    [Fact]
    public void A_layout_gives_its_layers()
    {
        var directory = Layout();
        foreach (var tag in (string?[])[null, "v1"])
        {
            var (file, layer) = Assert.Single(OciImage.Read(directory, tag).Layers);
            Assert.Equal(Path.Combine(directory, "blobs/sha256", new string('e', 64)), file);
            Assert.Equal(("gzip", new string('d', 64), new string('e', 64)), (layer.Compression, layer.DiffId, layer.Sha256));
        }
    }

    [Fact]
    public void A_layout_that_is_not_whole_or_not_for_this_machine_is_refused()
    {
        Assert.Contains("'v2'", Refusal(Layout(), "v2"));
        Assert.Contains("arm64", Refusal(Layout(configuration: c => c.Replace("amd64", "arm64", StringComparison.Ordinal))));
        Assert.Contains("media type", Refusal(Layout(manifest: m => m.Replace("tar+gzip", "tar+lzma", StringComparison.Ordinal))));
        Assert.Contains("no SHA-256", Refusal(Layout(manifest: m => m.Replace(new string('e', 64), "../../../../etc/passwd", StringComparison.Ordinal))));
        Assert.Contains("2 layers", Refusal(Layout(manifest: m => m.Replace("\"layers\":[", $"\"layers\":[{{\"mediaType\":\"x\",\"digest\":\"sha256:{new string('a', 64)}\"}},", StringComparison.Ordinal))));
        Assert.Contains("form", Refusal(Layout(manifest: m => m.Replace("layers", "leaves", StringComparison.Ordinal))));
        Assert.Contains("form", Refusal(Layout(index: i => i[..20])));
        var changed = Layout();
        var blob = Directory.EnumerateFiles(Path.Combine(changed, "blobs/sha256")).First();
        File.AppendAllText(blob, " ");
        Assert.Contains("has SHA-256", Refusal(changed));
        Assert.Contains("no OCI layout", Refusal(_files.Path));
    }

    static string Refusal(string directory, string? tag = null) => Assert.Throws<InvalidDataException>(() => OciImage.Read(directory, tag)).Message;
}
