using Ka.Protocol.Rest;

namespace Ka.SystemTests.Deployments;

/// <summary>Every kind of image on real machines of both firmwares, all at once: they boot for minutes.</summary>
[Collection("real machines")]
[Trait("scope", "wide")]
public sealed class ImageKinds(RealLab lab)
{
    const string Steps = """
        steps:
          minimal-env: [ { do: untrusted, level: hard, retries: 1, timeout: 600s, first-sign: 240s } ]
          install: [ { do: chain, retries: 0, timeout: 1800s } ]
          boot: [ { do: kexec, timeout: 900s }, { do: classical, timeout: 900s } ]
        """;

    static readonly string Work = RealLab.Work;

    [Fact]
    public async Task Disks_cloud_images_several_images_and_containers_are_deployed_and_boot()
    {
        await RealLab.MustAsync("/bin/bash", [Path.Combine(RealLab.Repository(), "packaging", "build-images.sh"), Work, "disk", "cloud", "oci"]);
        // Two partitions before the root: one that gets an image, one that nobody names.
        await lab.ServeAsync(Steps, layout: text => text.Replace(
            "- { name: root,",
            "- { name: data, size: 32MiB, type: linux, filesystem: ext4, mount: /srv/data }\n        - { name: third, size: 16MiB, type: linux }\n        - { name: root,", StringComparison.Ordinal));
        await RegisterAsync();
        var third = await PlantAsync("node2");

        string[] ids = [await lab.BeginAsync("disk", "node1"), await lab.BeginAsync("several", "node2"), await lab.BeginAsync("cloud", "node3"), await lab.BeginAsync("container", "node4")];
        var ended = await Task.WhenAll(ids.Select(id => lab.EndAsync(id, TimeSpan.FromMinutes(45))));
        Assert.All(ended, e => Assert.True(e.State == "done", RealLab.Summary(e)));

        // A whole disk, half the size of the machine's: its root has grown, its own GRUB has booted it.
        Assert.Equal("node1", await lab.SshAsync("node1", "hostname"));
        Assert.True(long.Parse(await lab.SshAsync("node1", "stat -f -c '%b' / | head -1")) * 4096 > 2L << 30);
        Assert.Contains("BOOT_IMAGE=", await lab.SshAsync("node1", "cat /proc/cmdline"), StringComparison.Ordinal);

        // An archive for the root, the bytes of a file system for a second partition; the third is as it was.
        Assert.Equal("from the image", await lab.SshAsync("node2", "cat /srv/data/says"));
        Assert.StartsWith(third, await lab.SshAsync("node2", "head -c 16777216 /dev/vda4 | sha256sum"), StringComparison.Ordinal);

        // cloud-init took its data: hostname and key come from there, the host key is still the deployment's.
        Assert.Equal("node3", await lab.SshAsync("node3", "hostname"));
        Assert.Contains($"{ids[2]}-node3", await lab.SshAsync("node3", "cat /var/lib/cloud/data/instance-id"), StringComparison.Ordinal);
        Assert.Contains("NoCloud", await lab.SshAsync("node3", "cat /run/cloud-init/cloud-id /run/cloud-init/status.json"), StringComparison.OrdinalIgnoreCase);

        // A container image: layers merged as the specification says, kernel and modules of another environment.
        Assert.Equal("second second", await lab.SshAsync("node4", "echo $(cat /opt/replaced) $(cat /opt/whole/seen)"));
        Assert.Equal("gone gone", await lab.SshAsync("node4", "test -e /opt/removed && echo there || echo -n 'gone '; test -e /opt/whole/hidden && echo there || echo gone"));
        Assert.NotEqual("", await lab.SshAsync("node4", "ls /lib/modules/$(uname -r)"));
    }

    async Task RegisterAsync()
    {
        await ApplyAsync("disk.yaml", $"name: disk\nimage: {{ file: {Work}/disk/disk.raw.zst, kind: raw, grow: yes }}\n");
        await ApplyAsync("cloud.yaml", $"name: cloud\nimage: {{ file: {Work}/cloud/cloud.qcow2, kind: qcow2, grow: yes }}\n");
        var tree = Directory.CreateDirectory(Path.Combine(Work, "data-tree")).FullName;
        await File.WriteAllTextAsync(Path.Combine(tree, "says"), "from the image\n");
        var data = Path.Combine(Work, "data.img");
        File.Delete(data);
        await RealLab.MustAsync("mkfs.ext4", ["-q", "-d", tree, data, "24M"]);
        await ApplyAsync(
            "several.yaml",
            $"name: several\nimage: {{ file: {Work}/tiny/tiny.tar.zst }}\nimages:\n  - {{ file: {data}, kind: raw, partition: data }}\nboot: {{ kernel: /boot/vmlinuz, initrd: /boot/initrd.img, params: \"console=ttyS0,115200\" }}\n");
        await lab.MustKaAsync("env", "import", $"oci:{Work}/oci:latest", "--name", "container", "--boot-from", "tiny");
    }

    async Task ApplyAsync(string name, string text)
    {
        var path = Path.Combine(Work, name);
        await File.WriteAllTextAsync(path, text);
        await lab.MustKaAsync("env", "apply", "-f", path);
    }

    /// <summary>Fills the place where the third partition will lie, while the machine is off; the digest of its 16 MiB.</summary>
    static async Task<string> PlantAsync(string node)
    {
        var bytes = new byte[16 << 20];
        new Random(29).NextBytes(bytes);
        await using var disk = new FileStream(Path.Combine(RealLab.State, node, "disk.raw"), FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        disk.Position = (1L + 1 + 64 + 32) << 20;
        await disk.WriteAsync(bytes);
        return Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(bytes));
    }
}
