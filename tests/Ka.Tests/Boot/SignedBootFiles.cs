using System.Collections.Frozen;
using System.Net;
using System.Text;
using Ka.Boot;
using Ka.Boot.Tftp;
using Ka.Core.BootProfiles;
using Ka.Core.NodeSets;

namespace Ka.Tests.Boot;

/// <summary>What a machine with Secure Boot reads by TFTP on its way to the minimal environment.</summary>
public sealed class SignedBootFiles : IDisposable, IBootDirectory
{
    const string Key = "0x0123456789abcdef0123456789abcdef";
    static readonly IPAddress Address = IPAddress.Parse("10.77.0.101");
    static readonly byte[] Kernel = [.. Enumerable.Range(0, 5000).Select(i => (byte)(i * 3))];

    readonly TemporaryDirectory _directory = new();
    BootNode _node;

    public SignedBootFiles()
    {
        File.WriteAllBytes(Path.Combine(_directory.Path, "vmlinuz"), Kernel);
        _node = new(NodeName.Parse("gris-1"), MacAddress.Parse("52:54:00:77:00:01"), Address, Key,
            new BootProfile.MinimalEnvironment(Path.Combine(_directory.Path, "vmlinuz"), Path.Combine(_directory.Path, "gone"), KernelParameters.Parse("quiet ka.credential=secret"))) { SecureBoot = true };
    }

    public void Dispose() => _directory.Dispose();

    public bool TryFindByMac(MacAddress mac, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out BootNode? node) => throw new NotSupportedException();

    public bool TryFindByKey(string key, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out BootNode? node)
    {
        node = key == Key ? _node : null;
        return node is not null;
    }

    [Fact]
    public void Shim_and_grub_come_from_the_nodes_directory_and_grub_finds_its_way_back_there()
    {
        Assert.Equal("shim", Text($"{Key}/shimx64.efi"));
        Assert.Equal("grub", Text($"{Key}/grubx64.efi"));
        Assert.Equal("configfile \"$cmdpath/grub.cfg\"\n", Text("/grub/grub.cfg"));
        var profile = Text($"/{Key}/grub.cfg")!;
        Assert.Contains($"linux '(tftp,10.77.0.1)/{Key}/kernel' 'quiet' 'ka.credential=secret'\n", profile, StringComparison.Ordinal);
        Assert.Contains($"initrd '(tftp,10.77.0.1)/{Key}/initrd'\n", profile, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Key + "/grub.cfg", "10.77.0.102")]
    [InlineData(Key + "/kernel", "10.77.0.102")]
    [InlineData("1x0123456789abcdef0123456789abcdef/grub.cfg", "10.77.0.101")]
    [InlineData(Key + "/revocations_sku.efi", "10.77.0.101")]
    [InlineData(Key + "/../shimx64.efi", "10.77.0.101")]
    [InlineData("//" + Key + "/grub.cfg", "10.77.0.101")]
    [InlineData("shimx64.efi", "10.77.0.101")]
    public void Without_the_key_or_from_another_address_nothing_exists(string path, string from) => Assert.Null(Text(path, from));

    [Fact]
    public void A_node_without_secure_boot_has_no_files_there_and_one_on_its_disk_no_kernel()
    {
        _node = _node with { Profile = new BootProfile.LocalDisk() };
        Assert.Null(Text($"{Key}/kernel"));
        Assert.Contains("chainloader", Text($"{Key}/grub.cfg"), StringComparison.Ordinal);
        _node = _node with { SecureBoot = false };
        Assert.Null(Text($"{Key}/grub.cfg"));
    }

    [Fact]
    public void What_was_fetched_to_the_end_is_noted_with_the_node_and_without_the_key()
    {
        var exchange = new TftpExchange(Files.Find, _ => true);
        var client = new IPEndPoint(Address, 25300);
        var (replies, begun) = exchange.Receive(client, Request($"/{Key}/kernel"), TimeSpan.Zero);
        var got = new List<byte>();
        TftpNote? done = null;
        while (replies.Count > 0)
        {
            var packet = Assert.Single(replies).Packet;
            got.AddRange(packet[4..]);
            (replies, done) = exchange.Receive(client, [0, 4, packet[2], packet[3]], TimeSpan.Zero);
        }

        Assert.Equal(Kernel, got);
        Assert.Equal(new TftpNote(BootEventKind.TftpRequest, _node, "kernel"), begun);
        Assert.Equal(new TftpNote(BootEventKind.KernelFetched, _node, "kernel"), done);
        Assert.Equal(0, exchange.Count);
        var (_, refused) = exchange.Receive(client, Request($"{Key}/initrd"), TimeSpan.Zero);
        Assert.DoesNotContain(Key, refused!.Detail, StringComparison.Ordinal);
        Assert.Contains("cannot read the boot file", refused.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_signed_loader_is_named_with_its_package()
    {
        var missing = Settings with { LoaderDirectory = _directory.Path, BiosLoader = "vmlinuz", UefiLoader = "vmlinuz", UefiHttpLoader = "vmlinuz" };
        Assert.Equal(2, missing.MissingLoaders().Count());
        Assert.Contains(missing.MissingLoaders(), sentence => sentence.EndsWith("install the package shim-signed", StringComparison.Ordinal));
        Assert.Contains(missing.MissingLoaders(), sentence => sentence.EndsWith("install the package grub-efi-amd64-signed", StringComparison.Ordinal));
        Assert.Empty((missing with { SecureBoot = false }).MissingLoaders());
    }

    static BootSettings Settings { get; } = new(
        "br0", IPAddress.Parse("10.77.0.1"), new Uri("http://10.77.0.1:8080/"), [new(IPNetwork.Parse("10.77.0.0/24"), null, [], null)]) { SecureBoot = true };

    TftpFiles Files => new(Settings, this, new Dictionary<string, ReadOnlyMemory<byte>>
    {
        ["shimx64.efi"] = "shim"u8.ToArray(),
        ["grubx64.efi"] = "grub"u8.ToArray(),
    }.ToFrozenDictionary());

    string? Text(string path, string from = "10.77.0.101")
    {
        using var content = Files.Find(IPAddress.Parse(from), path, out _)?.Content;
        var bytes = new byte[content?.Length ?? 0];
        return content?.TryRead(0, bytes) == true ? Encoding.ASCII.GetString(bytes) : null;
    }

    static byte[] Request(string file) => [0, 1, .. Encoding.ASCII.GetBytes($"{file}\0octet\0")];
}
