namespace Ka.SystemTests.Deployments;

/// <summary>Disks that the site prepares itself, by a pre-install, and systems that stay beside the one that is deployed.</summary>
[Collection("real machines"), Trait("scope", "wide")]
public sealed class PreparedDisks(RealLab lab)
{
    const string Site = """
        server-key: true
        steps:
          minimal-env: [ { do: untrusted, level: hard, retries: 1, timeout: 300s } ]
          boot: [ { do: classical, timeout: 400s }, { do: hard-reboot, timeout: 400s } ]
        """;

    const string Root = "- { name: root, size: rest, type: linux, filesystem: ext4, deploy: true }";

    const string Prepare = """
        #!/bin/sh
        set -eu
        sfdisk --quiet "$KADEPLOY_BLOCK_DEVICE" <<'TABLE'
        label: gpt
        size=1MiB, type=21686148-6449-6E6F-744E-656564454649
        size=64MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
        size=1800MiB, type=linux, name=by-hand
        type=linux
        TABLE
        mkfs.vfat "$(echo "$KADEPLOY_DEPLOY_PART" | sed "s/$KADEPLOY_DEPLOY_PART_NUM\$/2/")" >/dev/null
        mkfs.ext4 -q -F -L prepared "$KADEPLOY_DEPLOY_PART"
        """;

    [Fact]
    public async Task A_pre_install_makes_the_disk_and_the_production_system_deploys_another_beside_itself()
    {
        await lab.ServeAsync(Site, layout: text => text.Replace(
            Root, "- { name: prod, size: 1800MiB, type: linux, filesystem: ext4, deploy: true }\n        - { name: second, size: rest, type: linux, filesystem: ext4 }", StringComparison.Ordinal));
        await File.WriteAllTextAsync(Path.Combine(RealLab.State, "prepare.sh"), Prepare);
        var own = Path.Combine(RealLab.State, "prepared.yaml");
        var debian = await File.ReadAllTextAsync(Path.Combine(RealLab.Work, "debian12", "debian12.yaml"));
        await File.WriteAllTextAsync(own, debian
            .Replace("name: debian12", "name: prepared", StringComparison.Ordinal)
            .Replace("debian12.tar.zst", Path.Combine(RealLab.Work, "debian12", "debian12.tar.zst"), StringComparison.Ordinal)
            + "preinstall: { script: prepare.sh }\n");
        await lab.MustKaAsync("env", "apply", "-f", own);

        // The first leaves the target mounted; the second finds the same agent, and a disk that nothing uses.
        await MustDeployAsync("prepared", "--breakpoint", "BroadcastEnv:send_image");
        await MustDeployAsync("prepared", "--strategy", "minimal-env=trusted");
        foreach (var node in (string[])["node1", "node3"])
        {
            Assert.Equal("prepared", await lab.SshAsync(node, "lsblk -no LABEL $(findmnt -no SOURCE /)"));
            Assert.Equal("by-hand", await lab.SshAsync(node, "lsblk -no PARTLABEL $(findmnt -no SOURCE /)"));
            await lab.SshAsync(node, "echo stays >/var/mark; sync");
        }

        await lab.ServeAnewAsync(Site, text => text.Replace(
            Root, "- { name: prod, size: 1800MiB, type: linux, keep: true }\n        - { name: root, size: rest, type: linux, filesystem: ext4, deploy: true }", StringComparison.Ordinal));
        await MustDeployAsync("tiny", "--strategy", "minimal-env=prod");
        foreach (var node in (string[])["node1", "node3"])
        {
            Assert.Equal("/dev/vda4", await lab.SshAsync(node, "findmnt -no SOURCE / 2>/dev/null || sed -n 's/^\\([^ ]*\\) \\/ ext4 .*/\\1/p' /proc/mounts"));
            Assert.Equal("stays", await lab.SshAsync(node, "mount -t ext4 -o ro /dev/vda3 /mnt && cat /mnt/var/mark && umount /mnt"));
        }
    }

    async Task MustDeployAsync(string environment, params string[] more)
    {
        var ended = await lab.KaAsync(["deploy", environment, "-w", "node[1,3]", "-k", lab.Key + ".pub", "--yes", .. more]);
        Assert.True(ended.Status == 0, ended.ToString());
    }
}
